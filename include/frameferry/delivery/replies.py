"""What an FTP server's reply means: the phase and the words matter more than the digit."""

from __future__ import annotations

import re
from typing import NamedTuple

from frameferry.errors import DeliveryRefused, FtpCrowded, FtpUnavailable

_CROWDED_WORDS = re.compile(
    r"too many|overloaded|try (again |back )?later|is restricted to|maximum number"
    r"|number of connect|only.*session.*allowed|more connection|already connected"
    r"|simultaneous login",
    re.IGNORECASE,
)
_SPACE_WORDS = re.compile(r"no space|disk (is )?full|not enough space|insufficient", re.IGNORECASE)
_CLOSING = 421
_NOT_LOGGED_IN = 530
_JOB_CODES = {
    522: "Allow TLS session reuse, or set the connection's extra tls as the server wants it",
    530: "Check the account's rights on the server",
    532: "Check the account's rights on the server",
    534: "Set the connection's extra tls as the server wants it",
    535: "Set the connection's extra tls as the server wants it",
    536: "Set the connection's extra tls as the server wants it",
    552: "Make room: the account's quota on the server is used up",
}
_UNKNOWN_CODES = frozenset({500, 502, 504})


class Reply(NamedTuple):
    """One whole reply: its code, and the server's words with the code before them."""

    code: int
    text: str

    @property
    def kind(self) -> int:
        """The first digit: 1 to 5."""
        return self.code // 100

    @property
    def is_crowded(self) -> bool:
        """Say whether the server has too many connections, in whatever way it says so."""
        return self.code == _CLOSING or (
            self.code == _NOT_LOGGED_IN and _CROWDED_WORDS.search(self.text) is not None
        )

    @property
    def is_unknown_command(self) -> bool:
        """Say whether the server does not have the command at all."""
        return self.code in _UNKNOWN_CODES


def raise_for_login(reply: Reply) -> None:
    """
    Raise for a refusal before or during the log-in that says nothing of the password.

    Raises:
        FtpCrowded: The server has too many connections.
        FtpUnavailable: It refuses for now.
    """
    if reply.is_crowded:
        raise FtpCrowded(_said("the server takes no further connection", reply))
    if reply.kind == 4:  # noqa: PLR2004 - RFC 959's "transient negative"
        raise FtpUnavailable(_said("the server refuses the log-in for now", reply))


def raise_if_transient(verb: str, reply: Reply) -> None:
    """
    Raise for a reply that says "not now", or that belongs to nothing.

    Raises:
        FtpUnavailable: Neither a success nor a permanent refusal.
    """
    if reply.kind not in {2, 5}:
        raise FtpUnavailable(_said(f"{verb} failed", reply))


def raise_unless_record(verb: str, reply: Reply) -> None:
    """
    Raise for a refusal of a transfer or a rename that is not the record's own.

    Returns where the refusal may be the record's (a 5yz about this very name).

    Raises:
        FtpUnavailable: Transient, out of step, or no space left.
        DeliveryRefused: The server refuses the job as a whole.
    """
    if reply.kind != 5 or reply.code == 503 or _SPACE_WORDS.search(reply.text):  # noqa: PLR2004
        raise FtpUnavailable(_said(f"{verb} failed", reply))
    if reply.code in _JOB_CODES:
        raise DeliveryRefused(
            _said(f"{verb} is refused whatever the file", reply), remedy=_JOB_CODES[reply.code]
        )
    if reply.is_unknown_command:
        raise DeliveryRefused(
            _said(f"the server has no {verb}", reply), remedy="Deliver to a server that can rename"
        )


def _said(what: str, reply: Reply) -> str:
    return f"{what}: the server said {' '.join(reply.text.split())!r}"
