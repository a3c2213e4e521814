"""
One FTP connection: time-outs on everything, TLS as it should be, and never out of step.

`FerryFTP` is an `ftplib.FTP_TLS`, so that whatever is written for ftplib works with it and sees
ftplib's errors; what Frameferry itself asks goes through `ask`, `burst` and `store`, which map
ftplib's errors to ours, here and nowhere else.
"""

from __future__ import annotations

import ftplib
import re
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic

from frameferry.config.connections import FtpConnection
from frameferry.delivery.paths import check_path, has_control_character, is_within
from frameferry.delivery.replies import Reply, raise_for_login
from frameferry.errors import (
    ConnectionMissing,
    DeliveryRefused,
    FtpUnavailable,
    LoginRefused,
    UnsafePath,
)

CONNECT_SECONDS = 10.0
QUIT_SECONDS = 3.0
REPLY_BYTES = 65536
"""A longer reply is no reply: an endless one must not fill the memory."""
PIECE_BYTES = 1 << 20
"""Bytes given to the kernel at once: the time-out then means 'no progress', not 'a big file'."""
_READY_SECONDS = 2.0
_PATH_VERBS = frozenset(
    {"APPE", "CWD", "DELE", "HASH", "MDTM", "MKD", "MLST", "RETR", "RMD", "RNFR", "RNTO"}
    | {"SIZE", "STOR", "XSHA256"}
)
_ABOVE_BASE_VERBS = frozenset({"MKD", "CWD"})
_EPSV_REFUSALS = frozenset({500, 501, 502, 504, 522})
_CODE = re.compile(r"[1-5]\d\d(?=[ -]|$)")
_WRONG_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE"}
    | {"TLSV1_ALERT_PROTOCOL_VERSION", "SSLV3_ALERT_HANDSHAKE_FAILURE", "RECORD_LAYER_FAILURE"}
)


def connect(connection: FtpConnection) -> FerryFTP:
    """
    Open a connection and log in, once.

    Raises:
        FtpUnavailable: Nothing answers in time, or the server refuses for now.
        FtpCrowded: The server has too many connections.
        LoginRefused: The server refuses the user or password. Never try again by itself.
        DeliveryRefused: Certificate or TLS settings do not fit.
        ConnectionMissing: The CA file cannot be read.
    """
    ftp = FerryFTP(connection)
    try:
        ftp.open()
        ftp.log_in()
    except BaseException:
        ftp.poison()
        raise
    return ftp


class FerryFTP(ftplib.FTP_TLS):
    """
    A connection that knows whether it is in step with its server. Not thread-safe.

    `confine` sets the folder that paths must not leave. `features` holds the server's FEAT
    lines in capitals; a capability that turns out to be missing is taken out of it.
    """

    def __init__(self, connection: FtpConnection) -> None:
        super().__init__(
            context=_tls_context(connection),
            timeout=connection.timeout_seconds,
            encoding=connection.encoding,
        )
        self.connection = connection
        self.features: dict[str, str] = {}
        self.speaks_epsv = True
        self._base: str | None = None
        self._inbox = bytearray()
        self._owed = 0
        self._is_tainted = False
        self._type = ""
        self._ready: tuple[tuple[str, int], float] | None = None
        self.host, self.port = connection.host, connection.port
        self.set_pasv(connection.passive)

    @property
    def seconds(self) -> float:
        """The time-out of one reply, and of data without progress."""
        return self.connection.timeout_seconds

    @property
    def is_protected(self) -> bool:
        """Say whether the data connections are encrypted."""
        return self._prot_p

    @property
    def is_in_step(self) -> bool:
        """Say whether the next reply will belong to the next command."""
        return self.sock is not None and self._owed == 0 and not self._is_tainted

    def confine(self, base: str) -> None:
        """Refuse every later path outside *base*."""
        self._base = base

    # -- opening and closing

    def open(self) -> None:
        """
        Connect and read the greeting, encrypting as the connection says.

        Raises:
            FtpUnavailable: See `connect`, as for the others.
            DeliveryRefused: Certificate or TLS settings do not fit.
        """
        implicit = self.connection.tls == "implicit"
        with self._translated("connect"):
            address = (self.host, self.port)
            sock = socket.create_connection(address, min(CONNECT_SECONDS, self.seconds))
            self.sock = sock
            sock.settimeout(self.seconds)
            _keep_alive(sock)
            self.af = sock.family
            if implicit:
                self._encrypt()
        greeting = self._reply("greeting")
        while greeting.kind == 1:
            greeting = self._reply("greeting")
        self.welcome = greeting.text
        if greeting.kind != 2:
            raise_for_login(greeting)
            raise self._refused("the server does not greet", greeting)
        if self.connection.tls == "explicit":
            self._ask_for_tls()

    def log_in(self) -> None:
        """
        Send user and password once, and agree on binary type and protection.

        Raises:
            LoginRefused: The server refuses the user or password.
        """
        reply = self.ask("USER", self.connection.user, phase="login")
        if reply.code == 331:
            secret = self.connection.password.get_secret_value()
            reply = self.ask("PASS", secret, phase="login")
        if reply.kind != 2:
            raise_for_login(reply)
            raise self._login_refused(reply)
        self._agree()

    def poison(self) -> None:
        """Drop the connection at once, without a word. Never raises; may be called twice."""
        self._is_tainted = True
        if self.sock is not None:
            with suppress(OSError):
                linger = struct.pack("ii", 1, 0)
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with suppress(OSError):
            self.close()

    def farewell(self) -> None:
        """Say QUIT and close, within 3 s. Never raises; may be called twice."""
        if self.is_in_step and self.sock is not None:
            with suppress(FtpUnavailable, OSError):
                self.sock.settimeout(QUIT_SECONDS)
                self.ask("QUIT")
        self.poison()

    def is_stale(self) -> bool:
        """Say whether an idle connection has heard anything: a farewell, or its end."""
        if not self.is_in_step or self.sock is None or self._inbox:
            return True
        self.sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        try:
            peeked = _peek(self.sock)
        finally:
            self.sock.settimeout(self.seconds)
        return peeked

    # -- asking

    def ask(self, verb: str, argument: str = "", *, phase: str = "control") -> Reply:
        """
        Send one command and read its final reply, whatever it says.

        Raises:
            FtpUnavailable: Cut off, timed out, or not a reply. The connection is poisoned.
            UnsafePath: The line must not be sent.
        """
        return next(self.burst([_line(verb, argument)], phase=phase))

    def burst(self, lines: Sequence[str], *, phase: str = "control") -> Iterator[Reply]:
        """
        Send all lines at once; return their replies in order, each as it comes.

        Whoever stops reading early leaves the connection out of step.

        Raises:
            FtpUnavailable: As for `ask`; replies read until then were handed out.
            UnsafePath: A line must not be sent; nothing was.
        """
        with self._translated(phase):
            self._write(lines)
        return (self._reply(phase) for _ in lines)

    def ask_all(self, lines: Sequence[str], *, ahead: bool) -> list[Reply]:
        """Ask all lines in one burst and, where *ahead*, for the next transfer's address too."""
        wants_address = ahead and bool(self.passiveserver)
        extra = [self._passive_verb] if wants_address else []
        replies = list(self.burst([*lines, *extra]))
        if wants_address:
            self._note_address(replies.pop())
        return replies

    def store(self, path: str, data: bytes) -> Reply:
        """
        Send one file in binary and return what the server says at the end of it.

        A reply of 2yz says only that the server saw the end of the data, not all of it.

        Raises:
            FtpUnavailable: Cut off or timed out, on either connection.
            DeliveryRefused: The certificate of the data connection does not fit.
        """
        self._ensure_binary()
        channel = self._open_data(f"STOR {path}")
        if isinstance(channel, Reply):
            return channel
        try:
            with self._translated("data"):
                _send_whole(channel, data)
                _close_data(channel)
        except FtpUnavailable as error:
            return self._cause(error)
        finally:
            channel.close()
        return self._reply("data")

    def fetch(self, path: str) -> Iterator[bytes]:
        """
        Read a file back in pieces.

        Raises:
            FtpUnavailable: Cut off, timed out or refused.
        """
        self._ensure_binary()
        channel = self._open_data(f"RETR {path}")
        if isinstance(channel, Reply):
            raise self._unavailable(f"the server does not return a file: {channel.text!r}", "data")
        try:
            with self._translated("data"):
                while piece := channel.recv(PIECE_BYTES):
                    yield piece
        finally:
            channel.close()
        self._reply("data")

    # -- what ftplib calls, in our way

    def putline(self, line: str) -> None:
        """Send one line: the same guard for ftplib's own methods."""
        self._write([line])

    def getline(self) -> str:
        """Read one line; bytes that are not in the encoding are shown as U+FFFD."""
        if self.sock is None:
            raise EOFError
        while (end := self._inbox.find(b"\n")) < 0:
            if len(self._inbox) > self.maxline:
                msg = f"a reply line of over {self.maxline} bytes"
                raise ftplib.Error(msg)
            if monotonic() > self._reply_ends:
                raise TimeoutError
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
        lines = [self.getline()]
        code = lines[0][:3]
        size = len(lines[0])
        if lines[0][3:4] == "-":
            while lines[-1][:3] != code or lines[-1][3:4] == "-":
                lines.append(self.getline())
                size += len(lines[-1])
                if size > REPLY_BYTES or monotonic() > self._reply_ends:
                    msg = "a reply without an end"
                    raise ftplib.Error(msg)
        if not code.startswith("1"):
            self._owed = max(0, self._owed - 1)
        return "\n".join(lines)

    def makepasv(self) -> tuple[str, int]:
        """Ask for a data address by EPSV, by PASV where that is unknown; never trust its host."""
        if self.speaks_epsv:
            reply = self._plain_reply("EPSV")
            if reply.code not in _EPSV_REFUSALS:
                return self._address_of(reply)
            self.speaks_epsv = False
        return self._address_of(self._plain_reply("PASV"))

    def ntransfercmd(
        self, cmd: str, rest: int | str | None = None
    ) -> tuple[socket.socket, int | None]:
        """Open a transfer as ftplib does, with our TLS and socket options."""
        channel, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        return self._dressed(channel), size

    def voidcmd(self, cmd: str) -> str:
        """Leave out a TYPE that is already agreed."""
        if cmd == f"TYPE {self._type}":
            return f"200 {cmd} already"
        reply = super().voidcmd(cmd)
        if cmd.startswith("TYPE "):
            self._type = cmd.removeprefix("TYPE ")
        return reply

    def sendcmd(self, cmd: str) -> str:
        """Remember a TYPE that ftplib's listings set behind our back."""
        reply = super().sendcmd(cmd)
        if cmd.startswith("TYPE "):
            self._type = cmd.removeprefix("TYPE ")
        return reply

    def size(self, filename: str) -> int | None:
        """Ask for a size in binary, where alone it means bytes."""
        self.voidcmd("TYPE I")
        return super().size(filename)

    def auth(self) -> str:
        """Encrypt the control connection; what was read in the clear before is forgotten."""
        reply = self.voidcmd("AUTH TLS")
        self._encrypt()
        return reply

    # -- the rest is private

    def _write(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._check(line)
        if self.sock is None:
            raise EOFError
        self._owed += len(lines)
        self.sock.sendall("".join(f"{line}\r\n" for line in lines).encode(self.encoding))

    def _check(self, line: str) -> None:
        verb, _, argument = line.partition(" ")
        if has_control_character(line):
            msg = f"a {verb[:4]} command would hold a control character"
            raise UnsafePath(msg, remedy="Check the name template, or the connection's login")
        if self._base is not None and verb in _PATH_VERBS:
            if verb in _ABOVE_BASE_VERBS and is_within(self._base, argument):
                return
            check_path(_bare_path(verb, argument), self._base)

    def _reply(self, phase: str) -> Reply:
        with self._translated(phase):
            return _understood(self.getmultiline())

    def _plain_reply(self, line: str) -> Reply:
        self.putcmd(line)
        return _understood(self.getmultiline())

    @property
    def _passive_verb(self) -> str:
        return "EPSV" if self.speaks_epsv else "PASV"

    def _note_address(self, reply: Reply) -> None:
        if reply.kind == 2:
            with self._translated("data"):
                self._ready = (self._address_of(reply), monotonic() + _READY_SECONDS)

    def _address_of(self, reply: Reply) -> tuple[str, int]:
        assert self.sock is not None
        peer = self.sock.getpeername()
        if reply.code == 229:
            return str(peer[0]), ftplib.parse229(reply.text, peer)[1]
        if reply.code != 227:
            raise (ftplib.error_temp if reply.kind == 4 else ftplib.error_perm)(reply.text)
        return str(peer[0]), ftplib.parse227(reply.text)[1]

    def _next_address(self) -> tuple[str, int]:
        ready, self._ready = self._ready, None
        if ready is not None and monotonic() < ready[1]:
            return ready[0]
        with self._translated("data"):
            return self.makepasv()

    def _open_data(self, line: str) -> socket.socket | Reply:
        if self.passiveserver:
            channel = self._connect_data(line)
            if isinstance(channel, Reply):
                return channel
        else:
            return self._accept_data(line)
        reply = self._reply("data")
        if reply.kind != 1:
            channel.close()
            return reply
        return self._protect_data(channel)

    def _connect_data(self, line: str) -> socket.socket | Reply:
        """Send the command before connecting: the two round trips are one."""
        address = self._next_address()
        try:
            with self._translated("data"):
                self._write([line])
                return socket.create_connection(address, min(CONNECT_SECONDS, self.seconds))
        except FtpUnavailable as error:
            return self._cause(error)

    def _accept_data(self, line: str) -> socket.socket | Reply:
        with self._translated("data"), self.makeport() as listener:
            listener.settimeout(min(CONNECT_SECONDS, self.seconds))
            reply = self._plain_reply(line)
            if reply.kind != 1:
                return reply
            channel, _ = listener.accept()
        return self._protect_data(channel)

    def _protect_data(self, channel: socket.socket) -> socket.socket | Reply:
        try:
            with self._translated("data"):
                return self._dressed(channel)
        except FtpUnavailable as error:
            channel.close()
            return self._cause(error)

    def _dressed(self, channel: socket.socket) -> socket.socket:
        channel.settimeout(self.seconds)
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._prot_p:
            return channel
        session = self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None
        return self.context.wrap_socket(channel, server_hostname=self.host, session=session)

    def _cause(self, error: FtpUnavailable) -> Reply:
        """Read why the server broke off a transfer; the connection is not used again."""
        if self.sock is None:
            raise error
        self._is_tainted = True
        try:
            self.sock.settimeout(min(QUIT_SECONDS, self.seconds))
            reply = _understood(self.getmultiline())
        except (OSError, EOFError, ftplib.Error):
            raise error from None
        if reply.kind < 4:
            raise error
        return reply

    def _ensure_binary(self) -> None:
        if self._type != "I":
            reply = self.ask("TYPE", "I")
            if reply.kind != 2:
                raise self._unavailable(f"TYPE I failed: {reply.text!r}", "control")
            self._type = "I"

    def _encrypt(self) -> None:
        assert self.sock is not None
        self._inbox.clear()
        self.sock = self.context.wrap_socket(self.sock, server_hostname=self.host)

    def _ask_for_tls(self) -> None:
        reply = self.ask("AUTH", "TLS", phase="connect")
        if reply.kind != 2:
            raise_for_login(reply)
            raise self._refused("the server does not offer TLS", reply)
        with self._translated("connect"):
            self._encrypt()

    def _agree(self) -> None:
        secure = ["PBSZ 0", "PROT P"] if self.connection.tls != "none" else []
        feat, binary, *protection = self.burst(["FEAT", "TYPE I", *secure])
        self.features = _features(feat)
        self._type = "I" if binary.kind == 2 else ""
        if protection and protection[-1].kind != 2:
            raise self._refused("the server does not protect data connections", protection[-1])
        self._prot_p = bool(protection)
        if "UTF8" in self.features and self.encoding.lower().replace("-", "") == "utf8":
            self.ask("OPTS", "UTF8 ON")

    def _login_refused(self, reply: Reply) -> DeliveryRefused:
        if re.search(r"\b(tls|ssl|encrypt\w*)\b", reply.text, re.IGNORECASE):
            return self._refused("the server logs in only over TLS", reply)
        words = " ".join(reply.text.split())
        return LoginRefused(
            f"the FTP server {self._place} refuses the log-in of {self.connection.user!r}: {words!r}",
            remedy=f"Put the password of connection {self.connection.conn_id!r} right; "
            "nothing logs in again until then",
        )

    def _refused(self, what: str, reply: Reply) -> DeliveryRefused:
        words = " ".join(reply.text.split())
        return DeliveryRefused(
            f"{what} ({self._place}): {words!r}",
            remedy=f"Check the extra 'tls' of connection {self.connection.conn_id!r}",
        )

    def _unavailable(self, what: str, phase: str) -> FtpUnavailable:
        return FtpUnavailable(what, server=self._place, phase=phase)

    @property
    def _place(self) -> str:
        return f"{self.host}:{self.port}"

    @contextmanager
    def _translated(self, phase: str) -> Iterator[None]:
        """Map every way that sockets, TLS and ftplib fail to ours."""
        try:
            yield
        except ssl.SSLError as error:
            self._is_tainted = True
            raise self._tls_failure(error, phase) from error
        except (OSError, EOFError) as error:
            self._is_tainted = True
            raise self._unavailable(_told(error), phase) from error
        except ftplib.Error as error:
            self._is_tainted = True
            raise self._unavailable(f"not understood: {str(error)[:200]!r}", phase) from error

    def _tls_failure(self, error: ssl.SSLError, phase: str) -> FtpUnavailable | DeliveryRefused:
        if isinstance(error, ssl.SSLCertVerificationError):
            return DeliveryRefused(
                f"the certificate of {self._place} is not trusted: {error.verify_message}",
                remedy="Set the connection's extra ca_cert to the CA's file",
            )
        if (error.reason or "") in _WRONG_TLS:
            return DeliveryRefused(
                f"{self._place} does not speak this kind of TLS: {error.reason}",
                remedy="Set the connection's extra tls to none, explicit or implicit",
            )
        return self._unavailable(f"TLS broke off: {error.reason or error}", phase)


def _understood(text: str) -> Reply:
    if not _CODE.match(text):
        raise ftplib.error_proto(text[:200])
    return Reply(int(text[:3]), text)


def _line(verb: str, argument: str) -> str:
    return f"{verb} {argument}" if argument else verb


def _bare_path(verb: str, argument: str) -> str:
    return argument.strip('"') if verb == "XSHA256" else argument


def _features(reply: Reply) -> dict[str, str]:
    if reply.kind != 2:
        return {}
    lines = (line.strip() for line in reply.text.splitlines()[1:-1])
    return {name.upper(): rest for name, _, rest in (line.partition(" ") for line in lines)}


def _told(error: OSError | EOFError) -> str:
    match error:
        case TimeoutError():
            return "no answer in time"
        case EOFError():
            return "the server closed the connection"
        case _:
            return error.strerror or str(error) or type(error).__name__


def _send_whole(channel: socket.socket, data: bytes) -> None:
    view = memoryview(data)
    for start in range(0, len(view), PIECE_BYTES):
        channel.sendall(view[start : start + PIECE_BYTES])


def _close_data(channel: socket.socket) -> None:
    """End the data. A server that drops TLS without its goodbye is judged by its reply."""
    if isinstance(channel, ssl.SSLSocket):
        with suppress(OSError):
            channel.settimeout(QUIT_SECONDS)
            channel.unwrap()
    channel.close()


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _peek(sock: socket.socket) -> bool:
    try:
        if isinstance(sock, ssl.SSLSocket):
            sock.recv(1)
        else:
            sock.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True


def _tls_context(connection: FtpConnection) -> ssl.SSLContext:
    if connection.tls == "none":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context = ssl.create_default_context(cafile=connection.ca_cert)
    except (OSError, ssl.SSLError) as error:
        msg = f"the CA file {connection.ca_cert!r} of connection {connection.conn_id!r} cannot be read"
        raise ConnectionMissing(msg, remedy="Mend the connection's extra ca_cert") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not connection.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
