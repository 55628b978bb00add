"""Frames in other formats than FITS, each written by something other than what reads it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

Pixels = NDArray[Any]

_TICKS_AT_1970 = 621_355_968_000_000_000


def write_png(path: Path, pixels: Pixels) -> Path:
    """Chunks and zlib by hand: 8 or 16 bits, grey or RGB, no filter."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    bits, colour = 8 * pixels.dtype.itemsize, 0 if pixels.ndim == 2 else 2
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(f">u{pixels.dtype.itemsize}").tobytes() for row in pixels)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


def write_ser(
    path: Path,
    frames: Sequence[Pixels],
    *,
    colour: int = 0,
    flag: int = 0,
    order: str = "<",
    times: Sequence[datetime] = (),
    announced: int | None = None,
    camera: str = "ZWO ASI462MC",
) -> Path:
    """By the format description, version 3."""
    height, width = frames[0].shape[:2]
    bits = 8 * frames[0].dtype.itemsize
    count = len(frames) if announced is None else announced
    texts = (b"me", camera.encode(), b"C8")
    header = struct.pack(
        "<14s7i40s40s40s2q", b"LUCAM-RECORDER", 0, colour, flag, width, height, bits, count, *texts, 0, 0
    )
    body = b"".join(frame.astype(f"{order}u{frame.dtype.itemsize}").tobytes() for frame in frames)
    ticks = [int(time.timestamp() * 10_000_000) + _TICKS_AT_1970 for time in times]
    path.write_bytes(header + body + struct.pack(f"<{len(ticks)}q", *ticks))
    return path


def write_xisf(path: Path, pixels: Pixels, keywords: dict[str, str] | None = None, **options: Any) -> Path:
    """By the xisf package; keywords are as FITS writes their values."""
    from xisf import XISF

    told = {name: [{"value": value, "comment": ""}] for name, value in (keywords or {}).items()}
    deep = pixels[..., None] if pixels.ndim == 2 else pixels
    XISF.write(str(path), deep, image_metadata={"FITSKeywords": told, "XISFProperties": {}}, **options)
    return path


def write_tiff(path: Path, pixels: Pixels, **options: Any) -> Path:
    """By tifffile."""
    import tifffile

    tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack", **options)
    return path


def write_dng(
    path: Path,
    pixels: Pixels,
    pattern: str = "RGGB",
    *,
    model: str = "Test 100",
    exposure_s: tuple[int, int] = (30, 1),
    iso: int = 800,
    date: str = "2026:03:01 22:00:00",
    zone: str | None = "+01:00",
    black: int = 64,
    byteorder: Literal["<", ">"] = "<",
) -> Path:
    """A CFA DNG by tifffile, as small as LibRaw takes it."""
    import tifffile

    side = 2 if len(pattern) == 4 else 6
    colours = bytes("RGB".index(letter) for letter in pattern)
    tags: list[tuple[int, int | str, int, Any, bool]] = [
        (271, 2, 0, "Test", True),
        (272, 2, 0, model, True),
        (33421, 3, 2, (side, side), True),
        (33422, 1, side * side, colours, True),
        (33434, 5, 1, exposure_s, True),
        (34855, 3, 1, iso, True),
        (36867, 2, 0, date, True),
        (50706, 1, 4, b"\1\4\0\0", True),
        (50708, 2, 0, model, True),
        (50714, 3, 1, black, True),
        (50717, 4, 1, 65535, True),
        (50721, 10, 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),
        (50778, 3, 1, 21, True),
    ]
    if zone is not None:
        tags.append((36881, 2, 0, zone, True))
    tifffile.imwrite(
        path, pixels, photometric=32803, extratags=sorted(tags, key=lambda tag: tag[0]), metadata=None,
        byteorder=byteorder,
    )  # fmt: skip
    return path
