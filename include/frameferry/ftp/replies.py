"""What an FTP server's reply means: the phase and the words matter more than the digit."""

from __future__ import annotations

import re
from typing import NamedTuple

from frameferry.errors import DeliveryRefused, FtpCrowded, FtpUnavailable, Phase

PASSWORD_WANTED = 331
ADDRESS = 227
EXTENDED_ADDRESS = 229
FILE_STATUS = 213
_CLOSING = 421
_NO_DATA_CONNECTION = 425
_WRONG_USER = 430
_BAD_SEQUENCE = 503
_NOT_LOGGED_IN = 530
_UNKNOWN_CODES = frozenset({500, 502, 504})
_NO_NAME_CODES = frozenset({550, 553})
_LOCAL_ERRORS = frozenset({450, 451})
_NOT_OF_A_FILE = frozenset({500, 502, 503, 504, 530, 532, 533, 534, 535, 536})
_TLS_REMEDY = "Set the connection's extra tls as the server wants it"
_JOB_REMEDIES = {
    522: "Allow data connections with TLS session reuse on the server, or set the extra tls",
    530: "Check the account's rights on the server",
    532: "Check the account's rights on the server",
    534: _TLS_REMEDY,
    535: _TLS_REMEDY,
    536: _TLS_REMEDY,
    552: "Make room: the account's quota on the server is used up",
}
_CROWDED_WORDS = re.compile(
    r"too many|is restricted to|maximum number|login limit"
    r"|number of connect|only.*session.*allowed|more connection|already connected"
    r"|simultaneous login",
    re.IGNORECASE,
)
_LATER_WORDS = re.compile(r"overloaded|try (again |back )?later", re.IGNORECASE)
_WRONG_WORDS = re.compile(
    r"\b(incorrect|invalid|wrong|bad|denied|fail(ed|ure)|unknown)\b", re.IGNORECASE
)
"""These speak of user or password, even if they are tried again later."""
_TLS_WORDS = re.compile(r"\b(tls|ssl|encrypt\w*|cleartext)\b", re.IGNORECASE)
_SPACE_WORDS = re.compile(r"no space|disk (is )?full|not enough space", re.IGNORECASE)
_CUT_WORDS = re.compile(
    r"truncat|incomplete|partial|too many|only the first|omitted|not all\b|cut (off|short)"
    r"|(limit|maximum)\b.*\b(reached|exceeded)",
    re.IGNORECASE,
)

_FOLDER_WORDS = re.compile(r"\bis a directory\b", re.IGNORECASE)
"""A folder has the file's name. Pure-FTPd says so by 451, though no other try will change it."""


class Reply(NamedTuple):
    """One whole reply: its code, and the server's text with the code before it."""

    code: int
    text: str

    @property
    def words(self) -> str:
        """The text on one line, at most 200 characters of it."""
        return " ".join(self.text.split())[:200]

    @property
    def is_preliminary(self) -> bool:
        """Say whether a final reply is still to come (1yz)."""
        return 100 <= self.code < 200  # noqa: PLR2004 - the digits of RFC 959

    @property
    def is_success(self) -> bool:
        """Say whether the command is done (2yz)."""
        return 200 <= self.code < 300  # noqa: PLR2004

    @property
    def is_wanting(self) -> bool:
        """Say whether the server waits for the command's other half (3yz)."""
        return 300 <= self.code < 400  # noqa: PLR2004

    @property
    def is_transient(self) -> bool:
        """Say whether the server refuses for now (4yz)."""
        return 400 <= self.code < 500  # noqa: PLR2004

    @property
    def is_refusal(self) -> bool:
        """Say whether the server refuses for good (5yz)."""
        return self.code >= 500  # noqa: PLR2004

    @property
    def is_crowded(self) -> bool:
        """Say whether the server has too many connections, in whatever way it says so."""
        if self.code == _CLOSING:
            return not self.speaks_of_tls
        if self.code != _NOT_LOGGED_IN:
            return False
        if _CROWDED_WORDS.search(self.text):
            return True
        return bool(_LATER_WORDS.search(self.text)) and not self.blames_user

    @property
    def is_local_error(self) -> bool:
        """Say whether the server failed at this file (450, 451), and not for want of room."""
        return self.code in _LOCAL_ERRORS and _SPACE_WORDS.search(self.text) is None

    @property
    def speaks_of_tls(self) -> bool:
        """Say whether the server's words are about encryption."""
        return _TLS_WORDS.search(self.text) is not None

    @property
    def is_no_data_connection(self) -> bool:
        """Say whether the server saw nobody come to its data address."""
        return self.code == _NO_DATA_CONNECTION

    @property
    def speaks_of_cut(self) -> bool:
        """Say whether the server's words at the end of a list say that it is not all."""
        return _CUT_WORDS.search(self.text) is not None

    @property
    def blames_user(self) -> bool:
        """Say whether the server's words are about user or password, and nothing else."""
        return _WRONG_WORDS.search(self.text) is not None

    @property
    def is_breakdown(self) -> bool:
        """Say whether the server gives up on itself, as vsftpd does in its own words."""
        return "OOPS:" in self.text

    @property
    def is_unknown_command(self) -> bool:
        """Say whether the server does not have the command at all."""
        return self.code in _UNKNOWN_CODES

    @property
    def is_name_refused(self) -> bool:
        """Say whether the server takes offence at the name, or misses its folder."""
        return self.code in _NO_NAME_CODES


def raise_for_login(reply: Reply) -> None:
    """
    Raise if a refusal before or during the log-in says nothing of the password.

    Raises:
        FtpCrowded: The server has too many connections.
        FtpUnavailable: It refuses for now.
    """
    if reply.is_crowded:
        msg = _said("the server takes no further connection", reply)
        # A refused log-in is not repeated by itself, whatever its words.
        raise FtpCrowded(msg, phase="login" if reply.code == _NOT_LOGGED_IN else "connect")
    if reply.is_transient and reply.code != _WRONG_USER and not reply.speaks_of_tls:
        raise FtpUnavailable(_said("the server refuses the log-in for now", reply), phase="login")


def raise_if_transient(what: str, reply: Reply) -> None:
    """
    Raise for a reply that says "not now", or that belongs to nothing.

    Raises:
        FtpUnavailable: Neither a success nor a permanent refusal.
    """
    if not reply.is_success and not reply.is_refusal:
        raise FtpUnavailable(_said(f"{what} failed", reply))


def raise_unless_absent(what: str, reply: Reply) -> None:
    """
    Raise for a no that does not prove that a file is not there.

    Raises:
        FtpUnavailable: Not a no for good, or one that is about the command or the log-in.
    """
    if not reply.is_refusal or reply.code in _NOT_OF_A_FILE:
        raise FtpUnavailable(_said(f"{what} failed", reply))


def raise_unless_record(what: str, reply: Reply) -> None:
    """
    Raise if the refusal of an upload or a rename is not the record's own.

    Returns if the refusal may be the record's: a 5yz about this very name, or a folder that has it.

    Raises:
        FtpUnavailable: Transient, out of step, or no space left.
        DeliveryRefused: The server refuses the job as a whole.
    """
    is_final = reply.is_refusal or (reply.is_transient and _FOLDER_WORDS.search(reply.text))
    is_passing = not is_final or reply.code == _BAD_SEQUENCE
    if is_passing or _SPACE_WORDS.search(reply.text):
        phase: Phase = "data connection" if reply.code == _NO_DATA_CONNECTION else "transfer"
        raise FtpUnavailable(_said(f"{what} failed", reply), phase=phase)
    if reply.code in _JOB_REMEDIES:
        msg = _said(f"{what} is refused, whatever the file", reply)
        raise DeliveryRefused(msg, remedy=_JOB_REMEDIES[reply.code])
    if reply.is_unknown_command:
        msg = _said(f"the server cannot do it ({what})", reply)
        raise DeliveryRefused(msg, remedy="Deliver to a server that can store and rename")


def _said(what: str, reply: Reply) -> str:
    return f"{what}: the server said {reply.words!r}"
