"""The data connection: one file at a time, and why it broke if it did."""

from __future__ import annotations

import codecs
import socket
import ssl
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from time import monotonic

from frameferry.config.connections import FtpConnection
from frameferry.errors import FtpUnavailable
from frameferry.ftp.addresses import SLOW_SECONDS, Addresses
from frameferry.ftp.replies import Reply
from frameferry.ftp.wire import Wire

CONNECT_SECONDS = 10.0
QUIT_SECONDS = 3.0
PIECE_BYTES = 1 << 20
"""Bytes given to the kernel at once. It takes what it can: the time-out is one of progress."""
SEALED_PIECE_BYTES = 1 << 16
"""The same over TLS: it is sealed and sent as a whole within one time-out."""
_READY_SECONDS = 2.0


Lines = Generator[str, None, Reply]
"""The lines of a list, and what the server said at its end: perhaps that it is not all."""


class Transfers(Wire):
    """
    A connection that stores and fetches whole files.

    `addresses` may be shared with other connections to the same server. `missed_address` says that
    an address asked for ahead led nowhere.
    """

    def __init__(self, connection: FtpConnection) -> None:
        super().__init__(connection)
        self.addresses = Addresses()
        self.missed_address = False
        self._ready: tuple[tuple[str, int], float] | None = None
        self._is_ahead = False
        self._channel: socket.socket | None = None
        self._is_announced = True

    @property
    def connect_seconds(self) -> float:
        """The time-out of connecting, to either port."""
        return min(CONNECT_SECONDS, self.seconds)

    @property
    def quit_seconds(self) -> float:
        """The time-out of what only politeness or curiosity asks for."""
        return min(QUIT_SECONDS, self.seconds)

    @property
    def asks_ahead(self) -> bool:
        """Say whether a data address is asked for together with other things, before its time."""
        is_alone = self.connection.pipelining == "alone" or self.addresses.is_alone
        return self.depth != "off" and not is_alone

    def ask_all(self, lines: Sequence[str], *, ahead: bool) -> list[Reply]:
        """
        Ask all lines in one burst and, if *ahead*, for the next transfer's address too.

        Raises:
            FtpUnavailable: As for `ask`.
            UnsafePath: A line must not be sent; none was.
        """
        if not (ahead and self.passiveserver and self.asks_ahead):
            return list(self.burst(lines))
        *replies, address = self.burst([*lines, self.passive_verb])
        self._remember(address)
        return replies

    def store(self, path: str, data: bytes) -> Reply:
        """
        Send one file in binary and return what the server says at the end of it.

        A 2yz says only that the server saw an end of the data, not that it has all of it.

        Raises:
            FtpUnavailable: Cut off or timed out, on either connection.
            DeliveryRefused: The certificate of the data connection does not fit.
            UnsafePath: The path must not be sent.
        """
        return self._send([f"STOR {path}"], data)

    def store_and_ask(
        self, path: str, data: bytes, questions: Sequence[str], *, ahead: bool
    ) -> tuple[Reply, list[Reply]]:
        """
        Send one file, and ask about it once it is stored: all at once if the server is deep.

        There are no answers if the file was refused. *ahead* is as for `ask_all`.

        Raises:
            FtpUnavailable: Cut off or timed out, on either connection.
            DeliveryRefused: The certificate of the data connection does not fit.
            UnsafePath: A line must not be sent; none was.
        """
        if self.depth != "deep" or not self.passiveserver:
            reply = self.store(path, data)
            return reply, self.ask_all(questions, ahead=ahead) if reply.is_success else []
        ahead = ahead and self.asks_ahead
        following = [*questions, self.passive_verb] if ahead else questions
        reply = self._send([f"STOR {path}", *following], data)
        answers = self._owed_replies()
        if ahead and answers:
            self._remember(answers.pop())
        return reply, answers if reply.is_success else []

    def fetch(self, path: str) -> Iterator[bytes] | Reply:
        """
        Read a file back in pieces, or return the server's refusal.

        Raises:
            FtpUnavailable: Cut off or timed out, also while reading.
            UnsafePath: The path must not be sent.
        """
        channel = self._open_data([f"RETR {path}"])
        return channel if isinstance(channel, Reply) else self._pieces(channel)

    def hang_up(self) -> None:
        """Close the data connection, if there is one. Never raises."""
        channel, self._channel = self._channel, None
        if channel is not None:
            with suppress(OSError):
                channel.close()

    def _send(self, lines: Sequence[str], data: bytes) -> Reply:
        """
        Do the transfer of the first line; leave the replies to the lines after it owed.

        A deep server gets the data as soon as it takes the connection, before it says that it
        will: that saves a round trip.
        """
        channel = self._open_data(lines)
        if isinstance(channel, Reply):
            return channel
        try:
            with self.translated("data"):
                _send_whole(channel, data)
                _end_data(channel)
        except FtpUnavailable as error:
            self.hang_up()
            return self._cause(error)
        self.hang_up()
        reply = self.reply("data")
        return self.reply("data") if reply.is_preliminary else reply

    def _owed_replies(self) -> list[Reply]:
        """Read what is owed to a burst, unless the connection is not to be used again."""
        return [] if self.is_tainted else [self.reply("control") for _ in range(self._owed)]

    def _remember(self, address: Reply) -> None:
        if address.is_success:
            with self.translated("data connection"):
                self._ready = (self.address_of(address), monotonic() + _READY_SECONDS)

    def list_lines(self, line: str) -> Lines | Reply:
        """
        Ask for a list of files and return its lines as they come, or the server's refusal.

        Until the last line is read, nothing else can be asked on this connection.

        Raises:
            FtpUnavailable: Cut off or timed out, also while reading.
            UnsafePath: The path must not be sent.
        """
        channel = self._open_data([line])
        if isinstance(channel, Reply):
            return channel
        return _lines(self._pieces(channel), self.encoding)

    def _open_data(self, lines: Sequence[str]) -> socket.socket | Reply:
        with self.translated("control"):
            self._agree_on_binary()
        opened = self._connect_data(lines) if self.passiveserver else self._accept_data(lines[0])
        if isinstance(opened, Reply):
            return opened
        self._channel = opened
        try:
            with self.translated("data connection"):
                self._channel = self.dressed(opened)
        except FtpUnavailable as error:
            self.hang_up()
            return self._cause(error)
        return self._channel

    def _agree_on_binary(self) -> None:
        if self.agreed_type != "I":
            self.voidcmd("TYPE I")
            self.agreed_type = "I"

    def _connect_data(self, lines: Sequence[str]) -> socket.socket | Reply:
        """Send the command before connecting, so that their round trips are one."""
        with self.translated("control"):
            address = self._next_address()
            self.write_lines(lines)
        began = monotonic()
        try:
            channel = self._reach(address)
        except OSError as error:
            return self._why_no_data(error)
        self._note_address(is_missed=monotonic() - began > SLOW_SECONDS)
        self._is_announced = self.depth != "deep" or not lines[0].startswith("STOR")
        if not self._is_announced:
            return channel
        reply = self.reply("control")
        if not reply.is_preliminary:
            self.hang_up()
            return reply
        return channel

    def _reach(self, address: tuple[str, int]) -> socket.socket:
        """Connect to where the server waits: its own address, which nobody has to look up."""
        self._channel = channel = socket.socket(self.af, socket.SOCK_STREAM)
        try:
            channel.settimeout(self.connect_seconds)
            channel.connect(address)
        except OSError:
            self.hang_up()
            raise
        return channel

    def _why_no_data(self, error: OSError) -> Reply:
        """
        Read why a server listens no longer: a refusal of the name, say. It is still in step.

        Raises:
            FtpUnavailable: It does not say: a closed port, or a dead server.
        """
        assert self.sock is not None
        with suppress(FtpUnavailable, OSError):
            self.sock.settimeout(self.quit_seconds)
            reply = self.reply("data connection")
            self.sock.settimeout(self.seconds)
            if reply.is_transient or reply.is_refusal:
                if reply.is_no_data_connection:
                    self._note_address(is_missed=True)
                return reply
        self._note_address(is_missed=True)
        with self.translated("data connection"):
            raise error

    def _accept_data(self, line: str) -> socket.socket | Reply:
        with self.translated("data connection"), self._listener() as listener:
            listener.settimeout(self.connect_seconds)
            offer = self._offered(listener)
            if not offer.is_success:
                return offer
            self.write_lines([line])
            reply = self.read_reply()
            return listener.accept()[0] if reply.is_preliminary else reply

    def _listener(self) -> socket.socket:
        """Listen for the server's data connection where it already talks to us, and only there."""
        assert self.sock is not None
        return socket.create_server((self.sock.getsockname()[0], 0), family=self.af, backlog=1)

    def _offered(self, listener: socket.socket) -> Reply:
        """Offer our address by EPRT, or by PORT if that is not understood, or not wanted."""
        host, port = listener.getsockname()[:2]
        if self.af == socket.AF_INET6:
            return self.ask("EPRT", f"|2|{host}|{port}|")
        if self._speaks_epsv:
            reply = self.ask("EPRT", f"|1|{host}|{port}|")
            if not reply.is_unknown_command:
                return reply
            self._speaks_epsv = False
        return self.ask("PORT", ",".join([*host.split("."), str(port // 256), str(port % 256)]))

    def _next_address(self) -> tuple[str, int]:
        ready, self._ready = self._ready, None
        self._is_ahead = ready is not None and monotonic() < ready[1] and self.asks_ahead
        if ready is not None and self._is_ahead:
            return ready[0]
        return self.makepasv()

    def _note_address(self, *, is_missed: bool) -> None:
        self.missed_address = is_missed and self._is_ahead
        self.addresses.note(ahead=self._is_ahead, is_missed=is_missed)

    def _pieces(self, channel: socket.socket) -> Generator[bytes, None, Reply]:
        try:
            with self.translated("data"):
                while piece := channel.recv(PIECE_BYTES):
                    yield piece
        finally:
            self.hang_up()
        reply = self.reply("data")
        if not reply.is_success:
            # What came is perhaps not all.
            self.is_tainted = True
            msg = f"the server broke off: {reply.words!r}"
            raise self.unavailable(msg, "data")
        return reply

    def _cause(self, error: FtpUnavailable) -> Reply:
        """
        Read why the server broke off a transfer.

        The connection is in step only if the server never began: it refused the command.

        Raises:
            FtpUnavailable: It does not say: the error itself.
        """
        self.is_tainted = True
        if self.sock is None:
            raise error
        with suppress(OSError):
            self.sock.settimeout(self.quit_seconds)
        try:
            reply = self.reply("data")
            was_refused = not (self._is_announced or reply.is_preliminary)
            reply = self.reply("data") if reply.is_preliminary else reply
        except FtpUnavailable:
            raise error from error.__cause__
        if not reply.is_transient and not reply.is_refusal:
            raise error
        if was_refused:
            self.is_tainted = False
            self.sock.settimeout(self.seconds)
        return reply


def _lines(pieces: Generator[bytes, None, Reply], encoding: str) -> Lines:
    """Cut pieces into lines, without their ends; return the reply behind them."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    rest = ""
    end: Reply | None = None
    while end is None:
        try:
            *whole, rest = f"{rest}{decoder.decode(next(pieces))}".split("\n")
        except StopIteration as stop:
            end = stop.value
            *whole, rest = f"{rest}{decoder.decode(b'', final=True)}".split("\n")
        yield from (line.rstrip("\r") for line in whole)
    yield rest.rstrip("\r")
    return end


def _send_whole(channel: socket.socket, data: bytes) -> None:
    piece = SEALED_PIECE_BYTES if isinstance(channel, ssl.SSLSocket) else PIECE_BYTES
    rest = memoryview(data)
    while rest:
        rest = rest[channel.send(rest[:piece]) :]


def _end_data(channel: socket.socket) -> None:
    """End the data. A server that drops TLS without its goodbye is judged by its reply."""
    if isinstance(channel, ssl.SSLSocket):
        with suppress(OSError):
            channel.settimeout(QUIT_SECONDS)
            channel.unwrap()
    channel.close()
