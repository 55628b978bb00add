"""TIFF's directories, and EXIF, which is one: the few tags that tell what a file is and how it was taken.

Bounds-checked, and no directory is looked at twice: offsets of others may point anywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

Value = tuple[int, ...] | tuple[float, ...] | str

MAKE, MODEL, ORIENTATION, SOFTWARE = 271, 272, 274, 305
SUBFILE, COMPRESSION, PHOTOMETRIC = 254, 259, 262
STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS = 273, 279, 324, 325
SUB_IFDS, EXIF, DNG_VERSION = 330, 34665, 50706
CFA_DIM, CFA_PATTERN = 33421, 33422
EXPOSURE, ISO, DATE_ORIGINAL, OFFSET_ORIGINAL, SUBSEC_ORIGINAL = 33434, 34855, 36867, 36881, 37521
MAKER_NOTE, MAKER_NOTE_AT = 37500, -37500
"""The second is no tag of any file's: it stands for where the maker note begins."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
_MOST_TAGS, _MOST_VALUES, _MOST_IFDS = 1000, 65_536, 32

Piece = Callable[[int, int], bytes]
"""(start, count) → bytes, fewer at the end."""


@dataclass(frozen=True, slots=True)
class Directory:
    """The values of one directory by their tags; those of EXIF are in among IFD0's."""

    values: Mapping[int, Value] = field(default_factory=dict)

    def integer(self, tag: int) -> int | None:
        """The first of a tag's values as a whole number."""
        value = self.values.get(tag)
        if isinstance(value, str) or not value:
            return None
        return int(value[0]) if value[0] - value[0] == 0 else None

    def number(self, tag: int) -> float | None:
        """The first of a tag's values."""
        value = self.values.get(tag)
        if isinstance(value, str) or not value:
            return None
        return float(value[0]) if value[0] - value[0] == 0 else None

    def integers(self, tag: int) -> tuple[int, ...]:
        """All of a tag's values."""
        value = self.values.get(tag)
        return () if value is None or isinstance(value, str) else tuple(int(each) for each in value)

    def text(self, tag: int) -> str:
        """A tag's text, empty without one."""
        value = self.values.get(tag)
        return value.strip("\0 ") if isinstance(value, str) else ""


def directories(piece: Piece) -> Iterator[Directory]:
    """The directories of a TIFF, the first with its EXIF; then the others of the chain, and sub-directories.

    What is damaged ends the walk: nothing is raised.
    """
    order = {b"II": "<", b"MM": ">"}.get(piece(0, 2))
    start = piece(4, 4)
    if order is None or len(start) < 4:
        return
    waiting, seen = [int(struct.unpack(f"{order}I", start)[0])], set[int]()
    while waiting and len(seen) < _MOST_IFDS:
        at = waiting.pop(0)
        if at < 8 or at in seen:
            continue
        seen.add(at)
        values, following = _read(piece, order, at)
        if values is None:
            continue
        here = Directory(values)
        exif = here.integer(EXIF)
        if exif is not None and exif not in seen and exif >= 8:
            seen.add(exif)
            more, _ = _read(piece, order, exif)
            here = Directory({**(more or {}), **values})
        yield here
        waiting += [following, *here.integers(SUB_IFDS)[:_MOST_IFDS]]


def directory_at(piece: Piece, at: int) -> Directory | None:
    """The directory at a place; None if there is none."""
    order = {b"II": "<", b"MM": ">"}.get(piece(0, 2))
    values = None if order is None else _read(piece, order, at)[0]
    return None if values is None else Directory(values)


def _read(piece: Piece, order: str, at: int) -> tuple[dict[int, Value] | None, int]:
    """A directory's values, and where the next one is; None for one that is none."""
    counted = piece(at, 2)
    if len(counted) < 2:
        return None, 0
    count = struct.unpack(f"{order}H", counted)[0]
    if not 1 <= count <= _MOST_TAGS:
        return None, 0
    table = piece(at + 2, 12 * count + 4)
    values: dict[int, Value] = {}
    for first in range(0, min(12 * count, len(table) - 11), 12):
        tag, kind, number = struct.unpack(f"{order}HHI", table[first : first + 8])
        size = _SIZES.get(kind, 0) * number
        if not size or number > _MOST_VALUES:
            continue
        raw = table[first + 8 : first + 12]
        if tag == MAKER_NOTE:
            values[MAKER_NOTE_AT] = struct.unpack(f"{order}I", raw)
            continue
        if size > 4:
            raw = piece(struct.unpack(f"{order}I", raw)[0], size)
        if len(raw) >= size:
            values[tag] = _values(raw[:size], order, kind, number)
    end = table[12 * count :]
    return values, int(struct.unpack(f"{order}I", end)[0]) if len(end) == 4 else 0


def _values(raw: bytes, order: str, kind: int, number: int) -> Value:
    if kind in {2, 7}:
        return raw.decode("latin-1") if kind == 2 else tuple(raw)
    if kind in {5, 10}:
        parts = struct.unpack(f"{order}{2 * number}{'I' if kind == 5 else 'i'}", raw)
        return tuple(
            above / below if below else float("nan")
            for above, below in zip(parts[::2], parts[1::2], strict=True)
        )
    return tuple(struct.unpack(f"{order}{number}{_CODES[kind]}", raw))


def taken_at(exif: Directory) -> tuple[datetime, bool] | None:
    """When the exposure began, and whether EXIF gives the zone; without one the clock is taken as local time.

    None where there is no time.
    """
    try:
        naive = datetime.strptime(exif.text(DATE_ORIGINAL), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - its zone follows
    except ValueError:
        return None
    fraction = exif.text(SUBSEC_ORIGINAL)
    if fraction.isdecimal():
        naive += timedelta(seconds=float(f"0.{fraction[:6]}"))
    try:
        zone = datetime.strptime(exif.text(OFFSET_ORIGINAL), "%z").tzinfo
    except ValueError:
        zone = None
    try:
        moment = naive.astimezone(UTC) if zone is None else naive.replace(tzinfo=zone).astimezone(UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment, zone is not None
