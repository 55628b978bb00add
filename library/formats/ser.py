"""SER: many frames of a camera in one file (format description version 3, H. Wilkens and G. Hahn, 2014).

A header of 178 bytes, the frames one after another, then perhaps a time for each. One frame of it is called
``video.ser#7``, counted from 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.cards import Card
from library.formats.image import Data, ForeignImage, justify, refused

FORMAT = "SER"
MAGIC = b"LUCAM-RECORDER"

_HEADER = struct.Struct("<14s7i40s40s40s2q")
_SIZE = 178
_COLOURS = {
    0: "",
    8: "RGGB",
    9: "GRBG",
    10: "GBRG",
    11: "BGGR",
    16: "CYYM",
    17: "YCMY",
    18: "YMCY",
    19: "MYYC",
}
_RGB, _BGR = 100, 101
_EPOCH = datetime(1, 1, 1)  # noqa: DTZ001 - the format's own zero; its times are UTC
_TICKS_PER_US = 10
_SAMPLED = 65_536
_MOST_FRAMES = 1_000_000
_CLEARLY = 2.0
_LATEST = 3_155_378_975_999_999_999
_EARLIEST = 599_266_080_000_000_000
"""1900: what is before is no time that was set."""


@dataclass(frozen=True, slots=True)
class _Header:
    colour: int
    little_endian: int
    width: int
    height: int
    bits: int
    announced: int
    observer: str
    instrument: str
    telescope: str
    start: int

    @property
    def planes(self) -> int:
        return 3 if self.colour in {_RGB, _BGR} else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)

    @property
    def frame_bytes(self) -> int:
        return self.width * self.height * self.planes * self.dtype.itemsize


def count_frames(data: Data) -> int:
    """How many whole frames a file holds, whatever its header says. Raises :class:`UnreadableImageError`."""
    header = _header(data)
    there = (data.size - _SIZE) // header.frame_bytes
    count = min(header.announced, there) if header.announced > 0 else there
    if count > _MOST_FRAMES:
        raise refused(data, f"holds {count} frames of {header.width}×{header.height}: no camera's recording")
    return count


def open_image(data: Data, number: int = 0) -> ForeignImage:
    """Look at one of the frames, counted from 0. Raises :class:`UnreadableImageError`."""
    header, count = _header(data), count_frames(data)
    if not 0 <= number < count:
        raise refused(data, f"holds {count} whole frames, and no number {number + 1}")
    start = _SIZE + number * header.frame_bytes
    stored = header.dtype.newbyteorder("<" if _is_little_endian(data, header) else ">")
    shape = (header.height, header.width) if header.planes == 1 else (header.height, header.width, 3)

    def load() -> NDArray[Any]:
        raw = data.piece(start, header.frame_bytes)
        pixels = np.frombuffer(raw, stored).reshape(shape)
        if header.colour == _BGR:
            pixels = pixels[..., ::-1]
        return np.ascontiguousarray(pixels, dtype=header.dtype)

    notes = () if count == header.announced else (f"announces {header.announced} frames and holds {count}",)
    return ForeignImage(
        data=data,
        format=FORMAT,
        height=header.height,
        width=header.width,
        planes=header.planes,
        dtype=header.dtype,
        cards=tuple(_cards(header, _time(data, header, number))),
        load=load,
        end=_SIZE + max(header.announced, 1) * header.frame_bytes,
        notes=notes if number == 0 else (),
    )


def _header(data: Data) -> _Header:
    raw = data.piece(0, _SIZE)
    if len(raw) < _SIZE or not raw.startswith(MAGIC):
        raise refused(data, "is no SER, or its header is cut short; check that it was copied whole")
    _, _, colour, little, width, height, bits, frames, *texts, _, utc = _HEADER.unpack(raw)
    if colour not in _COLOURS and colour not in {_RGB, _BGR}:
        raise refused(data, f"a SER of colours that are unknown to us (ColorID {colour})")
    if not 1 <= bits <= 16 or width < 1 or height < 1:
        raise refused(data, f"its header makes no sense: {width}×{height} pixels of {bits} bits")
    observer, instrument, telescope = (text.split(b"\0")[0].decode("latin-1").strip() for text in texts)
    header = _Header(
        *(colour, little, width, height, bits, frames, observer, instrument, telescope, utc),
    )
    shape = (height, width, header.planes)
    justify(data, FORMAT, shape, header.dtype, data.size - _SIZE, packed=False)
    return header


def _is_little_endian(data: Data, header: _Header) -> bool:
    """The order of a word's bytes: that in which the first frame's neighbours are alike.

    The description has 1 for little-endian words; most programs that write SER say 0 for them. So the flag
    counts, as these programs mean it, only where the pixels do not tell.
    """
    if header.dtype.itemsize == 1:
        return True
    rows = max(1, min(header.height, _SAMPLED // (header.width * header.planes)))
    row_bytes = header.frame_bytes // header.height
    raw = data.piece(_SIZE + (header.height - rows) // 2 * row_bytes, rows * row_bytes)
    words = np.frombuffer(raw, "<u2").reshape(rows, header.width, header.planes)
    little, big = _roughness(words), _roughness(words.byteswap())
    if max(little, big) > _CLEARLY * min(little, big):
        return little < big
    return header.little_endian == 0


def _roughness(words: NDArray[np.uint16]) -> float:
    """How much neighbours of one colour differ; a mosaic's are two pixels apart."""
    if words.shape[1] < 3:
        return 0.0
    return float(np.abs(words[:, 2:].astype(np.float64) - words[:, :-2]).mean())


def _time(data: Data, header: _Header, number: int) -> int | None:
    """When a frame was taken, in the format's ticks: by the trailer, that of the first by the header."""
    if header.announced > 0:
        at = _SIZE + header.announced * header.frame_bytes + 8 * number
        raw = data.piece(at, 8)
        if len(raw) == 8 and _EARLIEST < (ticks := int(struct.unpack("<q", raw)[0])) < _LATEST:
            return ticks
    return header.start if number == 0 and _EARLIEST < header.start < _LATEST else None


def _cards(header: _Header, ticks: int | None) -> Iterator[Card]:
    yield "ROWORDER", "TOP-DOWN", "SER stores rows from the top"
    for keyword, value in (
        ("INSTRUME", header.instrument),
        ("TELESCOP", header.telescope),
        ("OBSERVER", header.observer),
    ):
        if value:
            yield keyword, value, "from the SER header"
    if ticks is not None:
        when = _EPOCH + timedelta(microseconds=ticks // _TICKS_PER_US)
        yield "DATE-OBS", when.isoformat(timespec="microseconds"), "[UTC] from the SER file"
    if pattern := _COLOURS.get(header.colour):
        yield "BAYERPAT", pattern, "from the SER header"
