"""Between the server and PyIndi: passes bytes on, and ends a connection that is beyond all measure.

PyIndi reads what a server sends to its end, however long that is, before it says a word. So an endless BLOB
would fill the memory, and one that stops in the middle would leave the connection deaf. Here the stream is
followed just closely enough to know how long its parts are; it is passed on as it came.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

KIB, MIB = 1 << 10, 1 << 20
LONGEST_TAG, LONGEST_TEXT = 64 * KIB, MIB
MOST_TOLD = 64 * MIB
"""Of definitions and messages on one connection; PyIndi keeps them all."""
BLOB_BYTES, MOST_BLOB_BYTES = 128 * MIB, 512 * MIB
"""The largest BLOB of a camera that does not say how many pixels it has, and of any camera."""
BYTES_PER_PX = 6
BLOB_S = 300.0
_BASE64 = 4 / 3 * 1.1
"""Characters for each byte of a BLOB, with room for line ends."""
_SPARE = 64 * KIB
_CHUNK = MIB
_POLL_S = 5.0
_MARK = re.compile(rb"""["'>]""")
_SIZE = re.compile(rb"""\ssize\s*=\s*["']\s*(\d{1,12})\s*["']""")
_KEPT = (b"<def", b"<message")


class TooMuchError(Exception):
    """The server sends more than any INDI server has reason to; says what."""


class Gauge:
    """Measures a stream of INDI's XML as it passes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._cameras: dict[str, int] = {}
        self._tag: bytearray | None = None
        self._quote = b""
        self._run = 0
        self.told = 0
        self._counts_as_told = False
        self._blob_limit: int | None = None
        self._blob_since = 0.0

    def expect(self, camera: str, pixels: float) -> None:
        """Let BLOBs be as large as this camera's images may be."""
        if 0 < pixels < MOST_BLOB_BYTES:
            self._cameras[camera] = min(MOST_BLOB_BYTES, int(pixels) * BYTES_PER_PX + MIB)

    def feed(self, data: bytes | bytearray, end: int) -> None:
        """Measure the first ``end`` bytes. Raises :class:`TooMuchError`."""
        at = 0
        while at < end:
            at = self._content(data, at, end) if self._tag is None else self._in_tag(data, at, end)
        self.tick()

    def tick(self) -> None:
        """Look at the time. Raises :class:`TooMuchError` for a BLOB that takes too long."""
        if self._blob_limit is not None and self._clock() - self._blob_since > BLOB_S:
            raise TooMuchError(f"the server has been sending one image for more than {BLOB_S:g} s")

    def _content(self, data: bytes | bytearray, at: int, end: int) -> int:
        """Pass over what is between two tags; returns where the next one begins."""
        found = data.find(b"<", at, end)
        stop = end if found < 0 else found
        self._run += stop - at
        if self._blob_limit is not None:
            if self._run > self._blob_limit:
                raise TooMuchError(
                    "the server sends an image that does not end: "
                    f"more than {self._blob_limit / MIB:.1f} MiB as text"
                )
        elif self._run > LONGEST_TEXT:
            raise TooMuchError(f"the server sends a text of more than {LONGEST_TEXT // KIB} KiB")
        if self._counts_as_told:
            self._tell(stop - at)
        if found >= 0:
            self._tag, self._quote, self._run = bytearray(), b"", 0
        return stop

    def _in_tag(self, data: bytes | bytearray, at: int, end: int) -> int:
        """Pass over a tag, in which a quoted > ends nothing; returns where it or the data ends."""
        assert self._tag is not None
        while at < end:
            if self._quote:
                found = data.find(self._quote, at, end)
            else:
                match = _MARK.search(data, at, end)
                found = match.start() if match else -1
            stop = end if found < 0 else found + 1
            self._tag += data[at:stop]
            if len(self._tag) > LONGEST_TAG:
                raise TooMuchError(f"the server sends a tag of more than {LONGEST_TAG // KIB} KiB")
            at = stop
            if found < 0:
                break
            mark = bytes(data[found:stop])
            if mark == b">" and not self._quote:
                self._tag_ends(bytes(self._tag))
                break
            self._quote = b"" if self._quote else mark
        return at

    def _tag_ends(self, tag: bytes) -> None:
        self._tag = None
        self._counts_as_told = tag.startswith(_KEPT)
        if self._counts_as_told or b"message=" in tag:
            self._tell(len(tag))
        self._blob_limit = None
        if tag.startswith(b"<oneBLOB") and not tag.endswith(b"/>"):
            largest = max(self._cameras.values(), default=BLOB_BYTES)
            declared = _SIZE.search(tag)
            size = min(largest, int(declared[1])) if declared else largest
            self._blob_limit = int(size * _BASE64) + _SPARE
            self._blob_since = self._clock()

    def _tell(self, count: int) -> None:
        self.told += count
        if self.told > MOST_TOLD:
            raise TooMuchError(
                f"the server has sent more than {MOST_TOLD // MIB} MiB of definitions and messages"
            )


class Sieve:
    """Passes bytes between a server and PyIndi, which connects to :attr:`port` on loopback, once."""

    def __init__(self, server: socket.socket, on_too_much: Callable[[str], None]) -> None:
        self.gauge = Gauge()
        self._server = server
        self._on_too_much = on_too_much
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._listener.settimeout(30.0)
        self.port: int = self._listener.getsockname()[1]

    def start(self) -> None:
        """Begin, on two threads that end with the connection."""
        threading.Thread(target=self._from_server, daemon=True).start()

    def _from_server(self) -> None:
        with self._server, suppress(OSError):
            with self._listener:
                client, _ = self._listener.accept()
            with client:
                threading.Thread(target=self._to_server, args=(client,), daemon=True).start()
                try:
                    self._pass_on(client)
                except TooMuchError as error:
                    self._on_too_much(str(error))
                finally:
                    for end in (client, self._server):
                        with suppress(OSError):
                            end.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, client: socket.socket) -> None:
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        while True:
            if not select.select([self._server], [], [], _POLL_S)[0]:
                self.gauge.tick()
                continue
            count = self._server.recv_into(buffer)
            if not count:
                return
            self.gauge.feed(buffer, count)
            client.sendall(view[:count])

    def _to_server(self, client: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(64 * KIB):
                self._server.sendall(data)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)
