"""One FTP connection: time-outs on everything, TLS as it should be, and never out of step."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from frameferry.config.connections import FtpConnection
from frameferry.errors import ConnectionMissing, DeliveryRefused, FtpUnavailable, LoginRefused
from frameferry.ftp.pipelining import depth_of
from frameferry.ftp.replies import PASSWORD_WANTED, Reply, raise_for_login
from frameferry.ftp.transfers import Transfers

IDLE_SECONDS = 60.0
"""A connection silent for longer is asked before it is trusted."""


@dataclass(slots=True)
class Learnt:
    """What a server turned out to have, by its replies. For all connections to it."""

    size_verb: str = "SIZE"


def connect(connection: FtpConnection) -> FerryFTP:
    """
    Open a connection and log in, once.

    Raises:
        FtpUnavailable: Nothing answers in time, or the server refuses for now.
        FtpCrowded: The server has too many connections.
        LoginRefused: The server refuses the user or password. Never try again by itself.
        DeliveryRefused: Certificate or TLS settings do not fit.
        ConnectionMissing: The host is not a host name, or the CA file cannot be read.
        UnsafePath: User or password hold a character that would break the protocol.
    """
    ftp = FerryFTP(connection)
    try:
        ftp.open()
        ftp.log_in()
    except BaseException:
        ftp.poison()
        raise
    return ftp


class FerryFTP(Transfers):
    """
    A logged-in connection, for one thread at a time.

    `features` holds the server's FEAT lines. `hash_verb` is how it is asked for a file's sha256;
    whoever finds out that it does not work empties it. `learnt` may be shared with other
    connections to the same server.
    """

    def __init__(self, connection: FtpConnection) -> None:
        super().__init__(connection)
        self.features: dict[str, str] = {}
        self.hash_verb = ""
        self.learnt = Learnt()

    @property
    def size_verb(self) -> str:
        """How the server is asked for a file's length; empty if it has no way."""
        return self.learnt.size_verb

    def unlearn_size(self, verb: str) -> None:
        """Note that *verb* is not known here, unless another connection has said so before."""
        if self.learnt.size_verb == verb:
            has_another = verb == "SIZE" and "MLST" in self.features
            self.learnt.size_verb = "MLST" if has_another else ""

    # Opening and closing.

    def open(self) -> None:
        """
        Connect and read the greeting, encrypting as the connection says.

        Raises:
            FtpUnavailable: As for `connect`, like the others.
            FtpCrowded: The server has too many connections.
            DeliveryRefused: Certificate or TLS settings do not fit.
        """
        with self.translated("connect"), self._sensible():
            self.sock = self._dial((self.host, self.port))
            self.af = self.sock.family
            if self.connection.tls == "implicit":
                self.encrypt()
        greeting = self.reply("connect")
        while greeting.is_preliminary:
            greeting = self.reply("connect")
        self.welcome = greeting.text
        self.depth = depth_of(self.connection.pipelining, greeting.text)
        self._insist(greeting, "the server does not greet")
        if self.connection.tls == "explicit":
            self._insist(self.ask("AUTH", "TLS", phase="connect"), "the server offers no TLS")
            with self.translated("connect"):
                self.encrypt()

    def log_in(self) -> None:
        """
        Send user and password once, and agree on binary type and protection.

        Raises:
            LoginRefused: The server refuses the user or password.
            FtpUnavailable: As for `connect`, like the others.
            FtpCrowded: The server has too many connections.
            DeliveryRefused: It wants TLS, or will not protect data connections.
        """
        reply = self.ask("USER", self.connection.user, phase="login")
        if reply.code == PASSWORD_WANTED:
            secret = self.connection.password.get_secret_value()
            reply = self.ask_secretly("PASS", secret, phase="login")
        if not reply.is_success:
            raise_for_login(reply)
            raise self._login_refused(reply)
        self._agree()

    def poison(self) -> None:
        """Drop the connection at once, without a word. Never raises; may be called twice."""
        self.is_tainted = True
        self.hang_up()
        with suppress(OSError):
            if self.sock is not None:
                linger = struct.pack("ii", 1, 0)
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with suppress(OSError):
            self.close()

    def interrupt(self) -> None:
        """Fail whoever waits on this connection in another thread. Never raises."""
        self.is_tainted = True
        for sock in (self._channel, self.sock):
            if sock is not None:
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def farewell(self) -> None:
        """Say QUIT and close, within 3 s. Never raises; may be called twice."""
        with suppress(FtpUnavailable, OSError):
            if self.is_in_step and self.sock is not None:
                self.sock.settimeout(self.quit_seconds)
                self.ask("QUIT")
        self.poison()

    def is_stale(self) -> bool:
        """Say whether an idle connection must not be used: it has ended, or is out of step."""
        if not self.is_in_step or self.sock is None or self._inbox or _has_news(self.sock):
            return True
        self.sock.settimeout(self.seconds)
        return self.silent_seconds > IDLE_SECONDS and not self._is_alive()

    # The rest is private.

    @contextmanager
    def _sensible(self) -> Iterator[None]:
        """Tell a host name that cannot be one from a server that is not there."""
        try:
            yield
        except UnicodeError as error:
            msg = f"connection {self.connection.conn_id!r}: {self.host!r} is not a host name"
            raise ConnectionMissing(msg, remedy="Mend the connection's host") from error

    def _dial(self, address: tuple[str, int]) -> socket.socket:
        sock = socket.create_connection(address, self.connect_seconds)
        sock.settimeout(self.seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return sock

    def _is_alive(self) -> bool:
        with suppress(FtpUnavailable, OSError):
            assert self.sock is not None
            self.sock.settimeout(self.quit_seconds)
            is_alive = self.ask("NOOP").is_success
            self.sock.settimeout(self.seconds)
            return is_alive
        return False

    def _agree(self) -> None:
        protection = [] if self.connection.tls == "none" else ["PBSZ 0", "PROT P"]
        feat, binary, *protected = self.burst(["FEAT", "TYPE I", *protection])
        self.features = _features(feat)
        self.agreed_type = "I" if binary.is_success else ""
        if protected:
            # Without PBSZ a server refuses PROT as out of order, which says nothing of it.
            raise_for_login(protected[0])
            self._insist(protected[-1], "the server does not protect data connections")
            self._prot_p = True
        list(self.burst(self._options()))

    def _options(self) -> list[str]:
        options = []
        if "UTF8" in self.features and self.encoding.lower().replace("-", "") == "utf8":
            options.append("OPTS UTF8 ON")
        if "XSHA256" in self.features:
            self.hash_verb = "XSHA256"
        if "SHA-256" in self.features.get("HASH", ""):
            self.hash_verb = "HASH"
            options.append("OPTS HASH SHA-256")
        return options

    def _insist(self, reply: Reply, failure: str) -> None:
        if reply.is_success:
            return
        raise_for_login(reply)
        msg = f"{failure}: {self.server} said {reply.words!r}"
        remedy = f"Check host, port and the extra tls of connection {self.connection.conn_id!r}"
        raise DeliveryRefused(msg, remedy=remedy)

    def _login_refused(self, reply: Reply) -> DeliveryRefused:
        if reply.speaks_of_tls:
            msg = f"{self.server} logs in only over TLS: it said {reply.words!r}"
            remedy = f"Set the extra tls of connection {self.connection.conn_id!r}"
            return DeliveryRefused(msg, remedy=remedy)
        if reply.is_breakdown:
            msg = f"{self.server} is not set up to let anybody in: it said {reply.words!r}"
            return DeliveryRefused(msg, remedy="Mend the server's own configuration")
        msg = f"{self.server} refuses user {self.connection.user!r}: it said {reply.words!r}"
        remedy = (
            f"Put user and password of connection {self.connection.conn_id!r} right; "
            "nothing logs in again until then"
        )
        return LoginRefused(msg, remedy=remedy, is_plain=reply.blames_user)


def _features(reply: Reply) -> dict[str, str]:
    if not reply.is_success:
        return {}
    lines = [line.strip().partition(" ") for line in reply.text.splitlines()[1:-1]]
    return {name.upper(): rest for name, _, rest in lines}


def _has_news(sock: socket.socket) -> bool:
    """Say whether an idle server has spoken or gone: either way, what comes is not for us."""
    sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    try:
        sock.recv(1, 0 if isinstance(sock, ssl.SSLSocket) else socket.MSG_PEEK)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True
