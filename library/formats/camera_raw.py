"""Raw files of cameras (CR2, CR3, NEF, ARW, RAF, DNG and what else LibRaw knows), by ``rawpy``.

The visible area of the mosaic as the sensor counted it: nothing is demosaiced, no black level is taken off,
no orientation is applied. The black level is told in the header (BLACKADU): it is in biases and darks, too.
"""

from __future__ import annotations

import re
import struct
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from library.cards import Card
from library.formats import ifd
from library.formats.ifd import Directory, Piece
from library.formats.image import Data, ForeignImage, decoding, justify, refused

if TYPE_CHECKING:
    from rawpy import RawPy

FORMAT = "raw file of a camera"

_WORDS = np.dtype(np.uint16)
_MOST_PER_BYTE = 64
_SEARCHED_BYTES = 262_144
_MOST_KNOWN = 64
_CANON_SHOT_INFO, _CANON_TEMPERATURE, _CANON_ZERO_C = 4, 12, 128


@dataclass(frozen=True, slots=True)
class _Facts:
    """What LibRaw knows of a frame only once it is unpacked: of a camera at one ISO it is always the same."""

    pattern: str
    black_adu: float
    white_adu: float


_known: OrderedDict[tuple[object, ...], _Facts] = OrderedDict()
"""Facts by camera, so that headers of a night's frames are read without unpacking each."""


def open_image(data: Data, _number: int = 0) -> ForeignImage:
    """Look at a file. Raises :class:`UnreadableImageError`."""
    exif = exif_of(data)
    end = announced_end(data)
    if end > data.size:
        raise refused(data, f"is cut short: {data.size} of {end} bytes; check that it was copied whole")
    unpacked: list[NDArray[np.uint16]] = []
    with decoding(data, FORMAT), _opened(data) as raw:
        sizes = raw.sizes
        shape = (sizes.height, sizes.width)
        whole = (sizes.raw_height, sizes.raw_width)
        justify(data, FORMAT, whole, _WORDS, data.size, packed=True, most_per_byte=_MOST_PER_BYTE)
        justify(data, FORMAT, shape, _WORDS, data.size, packed=True, most_per_byte=_MOST_PER_BYTE)
        key = (
            *(exif.text(ifd.MAKE), exif.text(ifd.MODEL), exif.integer(ifd.ISO)),
            *(*sizes[:6], raw.num_colors, bytes(raw.color_desc)),
        )
        telling = bool(exif.text(ifd.MODEL)) and exif.integer(ifd.DNG_VERSION) is None
        facts = _known.get(key) if telling else None
        exposure_s = exif.number(ifd.EXPOSURE)
        iso = exif.integer(ifd.ISO)
        if facts is None or exposure_s is None or iso is None:
            facts = _unpack(data, raw)
            unpacked.append(raw.raw_image_visible.copy())
            exposure_s = exposure_s or (raw.other.shutter_speed or None)
            iso = iso or (int(raw.other.iso_speed) or None)
            if telling:
                _known[key] = facts
                while len(_known) > _MOST_KNOWN:
                    _known.popitem(last=False)
    notes: list[str] = []
    cards = list(_cards(exif, exposure_s, iso, facts, notes))
    temp_c = _canon_temperature_c(data, exif)
    if temp_c is not None:
        cards.append(("CCD-TEMP", temp_c, "[degC] of the camera, from its maker note"))

    def load() -> NDArray[Any]:
        if unpacked:
            return unpacked.pop()
        with _opened(data) as raw:
            _unpack(data, raw)
            return raw.raw_image_visible.copy()

    return ForeignImage(
        data=data,
        format=FORMAT,
        height=shape[0],
        width=shape[1],
        planes=1,
        dtype=_WORDS,
        cards=tuple(cards),
        load=load,
        end=end or data.size,
        notes=tuple(notes),
    )


def is_camera_raw(data: Data) -> bool:
    """Whether a file that begins as TIFF does is a camera's raw file, and no picture made of one."""
    first = next(ifd.directories(data.piece), None)
    if data.piece(8, 2) == b"CR" or first is None:
        return first is not None
    if first.integers(ifd.DNG_VERSION) or first.integer(ifd.PHOTOMETRIC) == _LINEAR_RAW:
        return True
    thumbnail = bool((first.integer(ifd.SUBFILE) or 0) & 1)
    strange = first.integer(ifd.COMPRESSION) not in _USUAL_COMPRESSIONS
    return bool(first.text(ifd.MAKE)) and (thumbnail or strange or bool(first.integers(ifd.SUB_IFDS)))


_LINEAR_RAW = 34892
_USUAL_COMPRESSIONS = {1, 5, 8, 32946, 32773}


def exif_of(data: Data) -> Directory:
    """What the camera tells of the exposure, of whichever make it is; empty if there is nothing."""
    found: dict[int, ifd.Value] = {}
    for piece in _exif_pieces(data):
        for number, each in enumerate(ifd.directories(piece)):
            if number == 0 or ifd.EXPOSURE in each.values:
                found = {**each.values, **found}
    return Directory(found)


def announced_end(data: Data) -> int:
    """Where the file's own tables say that its pixels end; 0 if they say nothing."""
    head = data.piece(0, 128)
    if head[4:8] == b"ftyp":
        return _boxes_end(data)
    if head.startswith(b"FUJIFILM") and len(head) >= 108:
        pairs = struct.unpack(">6I", head[84:108])
        return max(int(start) + int(count) for start, count in zip(pairs[::2], pairs[1::2], strict=True))
    end = 0
    for each in ifd.directories(data.piece):
        for starts, counts in (
            (ifd.STRIP_OFFSETS, ifd.STRIP_COUNTS),
            (ifd.TILE_OFFSETS, ifd.TILE_COUNTS),
        ):
            pairs_of = zip(each.integers(starts), each.integers(counts), strict=False)
            end = max([end, *(start + count for start, count in pairs_of)])
    return end


@contextmanager
def _opened(data: Data) -> Iterator[RawPy]:
    import rawpy

    raw = rawpy.RawPy()
    try:
        if data.path is not None and str(data.path).isprintable():  # LibRaw names the file in its warnings
            raw.open_file(str(data.path))
        else:
            with data.opened() as stream:
                raw.open_buffer(stream)
        yield raw
    finally:
        raw.close()


def _unpack(data: Data, raw: RawPy) -> _Facts:
    import rawpy

    raw.unpack()
    if raw.raw_type is not rawpy.RawType.Flat:
        raise refused(
            data,
            "holds colours that were interpolated already (a linear DNG or a small raw), and no mosaic; "
            "shoot full-size raw",
        )
    sizes, letters = raw.sizes, raw.color_desc.decode("ascii", "replace")
    side = 1 if raw.raw_pattern is None else raw.raw_pattern.shape[0]
    pattern = "".join(
        letters[raw.raw_color(sizes.top_margin + y, sizes.left_margin + x)]
        for y in range(side)
        for x in range(side)
    )
    black = raw.black_level_per_channel
    return _Facts("" if side == 1 else pattern, float(np.mean(black)), float(raw.white_level))


def _cards(
    exif: Directory, exposure_s: float | None, iso: int | None, facts: _Facts, notes: list[str]
) -> Iterator[Card]:
    yield "ROWORDER", "TOP-DOWN", "the first row is the top"
    if model := exif.text(ifd.MODEL):
        yield "INSTRUME", model, "from EXIF"
    if exposure_s:
        yield "EXPTIME", float(exposure_s), "[s] from EXIF"
    if iso:
        yield "ISOSPEED", iso, "from EXIF"
    taken = ifd.taken_at(exif)
    if taken is not None:
        moment, zoned = taken
        stamp = moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
        yield "DATE-OBS", stamp, "[UTC] from EXIF" if zoned else "[UTC] of EXIF's local time"
        if not zoned:
            notes.append("EXIF gives a time without a zone: it is taken as local time here")
    if facts.pattern:
        yield "BAYERPAT", facts.pattern, "mosaic at the first pixel"
    if facts.black_adu > 0:
        yield "BLACKADU", facts.black_adu, "[adu] black level; it is in the counts"
    if facts.white_adu > 0:
        yield "SATURATE", facts.white_adu, "[adu] where the camera saturates"


def _exif_pieces(data: Data) -> Iterator[Piece]:
    """Every TIFF within the file that may tell of the exposure."""
    head = data.piece(0, 128)
    if head[4:8] == b"ftyp":  # CR3: boxes CMT1 (the camera) and CMT2 (the exposure) are small TIFFs
        start = data.piece(0, _SEARCHED_BYTES)
        for name in (b"CMT1", b"CMT2"):
            if (at := start.find(name)) >= 4:
                yield _within(data, at + 4)
    elif head.startswith(b"FUJIFILM") and len(head) >= 92:  # RAF: in the JPEG that comes first
        at = struct.unpack(">I", head[84:88])[0]
        if (found := data.piece(at, _SEARCHED_BYTES).find(b"Exif\0\0")) >= 0:
            yield _within(data, at + found + 6)
    else:
        yield data.piece


def _within(data: Data, base: int) -> Piece:
    return lambda start, count: data.piece(base + start, count)


def _canon_temperature_c(data: Data, exif: Directory) -> float | None:
    """What Canon's maker note gives as the camera's temperature."""
    if not re.match("canon", exif.text(ifd.MAKE), re.IGNORECASE):
        return None
    note: Directory | None
    if data.piece(4, 4) == b"ftyp":
        at = data.piece(0, _SEARCHED_BYTES).find(b"CMT3")
        note = next(ifd.directories(_within(data, at + 4)), None) if at >= 4 else None
    else:
        place = exif.integer(ifd.MAKER_NOTE_AT)
        note = None if place is None else ifd.directory_at(data.piece, place)
    shot = () if note is None else note.integers(_CANON_SHOT_INFO)
    if len(shot) <= _CANON_TEMPERATURE or not 0 < shot[_CANON_TEMPERATURE] < 2 * _CANON_ZERO_C:
        return None
    return float(shot[_CANON_TEMPERATURE] - _CANON_ZERO_C)


def _boxes_end(data: Data) -> int:
    """The end of the last box of an ISO base media file that begins before the file's end."""
    at = 0
    for _ in range(64):
        head = data.piece(at, 16)
        if len(head) < 8:
            return at
        size = int(struct.unpack(">I", head[:4])[0])
        if size == 1 and len(head) == 16:
            size = int(struct.unpack(">Q", head[8:])[0])
        if size < 8:
            return data.size if size == 0 else at
        at += size
    return at
