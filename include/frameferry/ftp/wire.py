"""
The lines of one control connection: what is written is checked, what is read is bounded.

`Wire` is an `ftplib.FTP_TLS` whose lines go through our own guards; it raises ftplib's errors.
`translated` maps those to ours, here and nowhere else.
"""

# ruff: noqa: S321 - FTP is what we deliver to; TLS is a setting of the connection

from __future__ import annotations

import ftplib
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from time import monotonic
from types import TracebackType

from frameferry.config.connections import FtpConnection
from frameferry.errors import FtpUnavailable, Phase, UnsafePath
from frameferry.ftp.encryption import tls_context, tls_failure
from frameferry.ftp.paths import check_path, has_control_character, is_within
from frameferry.ftp.pipelining import Depth
from frameferry.ftp.replies import ADDRESS, EXTENDED_ADDRESS, Reply

REPLY_BYTES = 65536
"""A longer reply is not a reply: an endless one must not fill the memory."""
SEALED_BYTES = 2048
"""ProFTPD and Pure-FTPd read 4 KiB of a TLS record and forget the rest until more comes."""
PORTS = 65536
_END = b"\r\n"
_CODE = re.compile(r"[1-5]\d\d(?=[ -]|$)")
_EPSV_REFUSALS = frozenset({500, 501, 502, 504, 522})
_PATH_VERBS = frozenset(
    {"APPE", "CWD", "DELE", "HASH", "MDTM", "MKD", "MLSD", "MLST", "RETR", "RMD", "RNFR", "RNTO"}
    | {"SIZE", "STOR", "XSHA256"}
)
_VERBS_ABOVE_BASE = frozenset({"CWD", "MKD"})


class Wire(ftplib.FTP_TLS):
    """
    A control connection that counts the replies it is owed. Not thread-safe.

    `seconds` is the time-out of one reply, and of data without progress.
    """

    _prot_p: bool  # ftplib's own, missing from its types

    def __init__(self, connection: FtpConnection) -> None:
        super().__init__(
            context=tls_context(connection),
            timeout=connection.timeout_seconds,
            encoding=connection.encoding,
        )
        self.connection = connection
        self.host, self.port = connection.host, connection.port
        self.seconds = connection.timeout_seconds
        self.is_tainted = False
        self.agreed_type = ""
        self.depth: Depth = "safe"
        self._base: str | None = None
        self._unsaid = ""
        self._inbox = bytearray()
        self._owed = 0
        self._reply_ends = 0.0
        self._heard_at = 0.0
        self._speaks_epsv = connection.epsv
        self.set_pasv(connection.passive)

    @property
    def server(self) -> str:
        """`host:port`, for messages."""
        return f"{self.host}:{self.port}"

    @property
    def is_in_step(self) -> bool:
        """Say whether the next reply will belong to the next command."""
        return self.sock is not None and self._owed == 0 and not self.is_tainted

    @property
    def is_open(self) -> bool:
        """Say whether it is connected, and nothing has gone wrong so far."""
        return self.sock is not None and not self.is_tainted

    @property
    def is_protected(self) -> bool:
        """Say whether data connections are encrypted."""
        return self._prot_p

    @property
    def silent_seconds(self) -> float:
        """How long ago the server last spoke."""
        return monotonic() - self._heard_at

    @property
    def passive_verb(self) -> str:
        """The command that asks for a data address here."""
        return "EPSV" if self._speaks_epsv else "PASV"

    def confine(self, base: str) -> None:
        """Refuse to write any later path outside *base*."""
        self._base = base

    def translated(self, phase: Phase) -> _Translated:
        """Map all failures of sockets, TLS and ftplib, within a `with`, to our errors."""
        return _Translated(self, phase)

    def unavailable(self, what: str, phase: Phase) -> FtpUnavailable:
        """Make the error of a dead connection."""
        return FtpUnavailable(what, server=self.server, phase=phase)

    def write_lines(self, lines: Sequence[str]) -> None:
        """
        Write command lines at once: the one place where anything is written.

        Raises:
            UnsafePath: A line must not be written; none was.
        """
        encoded = [self._checked(line) for line in lines]
        if self.sock is None:
            raise EOFError
        self._owed += len(lines)
        for block in _sealed(encoded) if isinstance(self.sock, ssl.SSLSocket) else [encoded]:
            self.sock.sendall(b"".join(block))

    def reply(self, phase: Phase) -> Reply:
        """
        Read one reply, preliminary or final.

        Raises:
            FtpUnavailable: Cut off, timed out, or not a reply.
        """
        with self.translated(phase):
            return self.read_reply()

    def read_reply(self) -> Reply:
        """Read one reply, with ftplib's errors."""
        text = self.getmultiline()
        is_one = _CODE.match(text) is not None
        if self._unsaid:
            text = text[:3] + text[3:].replace(self._unsaid, "***")
        if not is_one:
            raise ftplib.error_proto(text[:200])
        return Reply(int(text[:3]), text)

    def ask(self, verb: str, argument: str = "", *, phase: Phase = "control") -> Reply:
        """
        Send one command and read its final reply, whatever it says.

        Raises:
            FtpUnavailable: Cut off, timed out, or not a reply. Drop the connection.
            UnsafePath: The line must not be sent.
        """
        line = f"{verb} {argument}" if argument else verb
        return next(self.burst([line], phase=phase))

    def ask_secretly(self, verb: str, secret: str, *, phase: Phase) -> Reply:
        """
        Ask with a secret, which some servers repeat in their reply: there it is struck out.

        Raises:
            FtpUnavailable, UnsafePath: As for `ask`.
        """
        self._unsaid = secret
        try:
            return self.ask(verb, secret, phase=phase)
        finally:
            self._unsaid = ""

    def burst(self, lines: Sequence[str], *, phase: Phase = "control") -> Iterator[Reply]:
        """
        Send all lines at once; return their replies in order, each as it comes.

        Whoever stops reading early leaves the connection out of step. If pipelining is off, each
        line waits for the reply to the one before.

        Raises:
            FtpUnavailable: As for `ask`; the replies before were handed out.
            UnsafePath: A line must not be sent; none was.
        """
        if self.depth == "off":
            for line in lines:
                self._checked(line)
            return self._one_by_one(lines, phase)
        with self.translated(phase):
            self.write_lines(lines)
        return (self.reply(phase) for _ in lines)

    def address_of(self, reply: Reply) -> tuple[str, int]:
        """Read a data address; the host is always the one we talk to."""
        assert self.sock is not None
        peer = self.sock.getpeername()
        try:
            if reply.code == EXTENDED_ADDRESS:
                port = ftplib.parse229(reply.text, peer)[1]
            elif reply.code == ADDRESS:
                port = ftplib.parse227(reply.text)[1]
            else:
                raise ftplib.error_temp(reply.text)
        except ValueError as error:
            raise ftplib.error_proto(reply.text) from error
        if not 0 < port < PORTS:
            raise ftplib.error_proto(reply.text)
        return str(peer[0]), port

    def dressed(self, channel: socket.socket) -> socket.socket:
        """Set a data connection's options and, if agreed, encrypt it in the same session."""
        channel.settimeout(self.seconds)
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._prot_p:
            return channel
        channel.getpeername()  # one that has ended already must not get as far as TLS, which leaks
        session = self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None
        return self.context.wrap_socket(channel, server_hostname=self.host, session=session)

    def encrypt(self) -> None:
        """Encrypt the control connection; what was read in the clear is forgotten."""
        assert self.sock is not None
        self._inbox.clear()
        self.sock = self.context.wrap_socket(self.sock, server_hostname=self.host)

    # What ftplib calls, in our way.

    def putline(self, line: str) -> None:
        """Write one line, through the same guard."""
        self.write_lines([line])

    def getline(self) -> str:
        """Read one line; bytes that are not in the encoding become U+FFFD."""
        if self.sock is None:
            raise EOFError
        while (end := self._inbox.find(b"\n")) < 0:
            if len(self._inbox) > self.maxline:
                msg = f"a reply line of over {self.maxline} bytes"
                raise ftplib.Error(msg)
            self._refuse_late()
            chunk = self.sock.recv(8192)
            if not chunk:
                raise EOFError
            self._inbox += chunk
        line = bytes(self._inbox[:end])
        del self._inbox[: end + 1]
        return line.rstrip(b"\r").decode(self.encoding, "replace")

    def getmultiline(self) -> str:
        """Read one reply of one or more lines, within one time-out and 64 KiB."""
        self._reply_ends = monotonic() + self.seconds
        text = self.getline()
        if text[3:4] == "-":
            text = "\n".join(self._lines_after(text))
        if not text.startswith("1") and self._owed:
            self._owed -= 1
        self._heard_at = monotonic()
        return text

    def makepasv(self) -> tuple[str, int]:
        """Ask for a data address by EPSV, or by PASV if that is not understood."""
        self.write_lines([self.passive_verb])
        reply = self.read_reply()
        if self._speaks_epsv and reply.code in _EPSV_REFUSALS:
            self._speaks_epsv = False
            return self.makepasv()
        return self.address_of(reply)

    def _refuse_late(self) -> None:
        if monotonic() > self._reply_ends:
            raise TimeoutError

    def _lines_after(self, first: str) -> list[str]:
        """Read the rest of a reply of several lines, and return all of them."""
        lines, size = [first], 0
        while len(lines) == 1 or lines[-1][:3] != first[:3] or lines[-1][3:4] == "-":
            self._refuse_late()
            lines.append(self.getline())
            size += len(lines[-1])
            if size > REPLY_BYTES:
                msg = "a reply without an end"
                raise ftplib.Error(msg)
        return lines

    def _one_by_one(self, lines: Sequence[str], phase: Phase) -> Iterator[Reply]:
        for line in lines:
            with self.translated(phase):
                self.write_lines([line])
            yield self.reply(phase)

    def _checked(self, line: str) -> bytes:
        """Check that a command line may be sent, and encode it with its end."""
        verb, _, argument = line.partition(" ")
        encoded = None if has_control_character(line) else _encoded(line, self.encoding)
        if encoded is None:
            msg = f"a {verb[:7]} command would hold a character that must not be sent"
            raise UnsafePath(msg, remedy="Check the name template, or the connection's login")
        if self._base is not None and verb in _PATH_VERBS:
            path = argument.strip('"') if verb == "XSHA256" else argument
            if verb not in _VERBS_ABOVE_BASE or not is_within(self._base, path):
                check_path(path, self._base)
        return encoded + _END


class _Translated:
    """
    The context of `Wire.translated`.

    Every reply goes through one, and a class costs a third of a generator as context.
    """

    __slots__ = ("_phase", "_wire")

    def __init__(self, wire: Wire, phase: Phase) -> None:
        self._wire = wire
        self._phase = phase

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        wire = self._wire
        match error:
            case ssl.SSLError():
                wire.is_tainted = True
                raise tls_failure(error, wire.server, self._phase) from error
            case OSError() | EOFError():
                wire.is_tainted = True
                raise wire.unavailable(_told(error), self._phase) from error
            case ftplib.Error():
                wire.is_tainted = True
                msg = f"the server said {' '.join(str(error).split())[:200]!r}"
                raise wire.unavailable(msg, self._phase) from error


def _sealed(lines: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Divide lines into TLS records that a server's buffer holds whole."""
    block: list[bytes] = []
    for line in lines:
        if block and sum(map(len, block)) + len(line) > SEALED_BYTES:
            yield block
            block = []
        block.append(line)
    yield block


def _encoded(line: str, encoding: str) -> bytes | None:
    try:
        return line.encode(encoding)
    except UnicodeEncodeError:
        return None


def _told(error: OSError | EOFError) -> str:
    match error:
        case TimeoutError():
            return "no answer in time"
        case EOFError():
            return "the server closed the connection"
        case _:
            return error.strerror or str(error) or type(error).__name__
