"""Which reader a file is for: by what it begins with, never by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from library.errors import NotAFrameError
from library.formats.image import Data, ForeignImage

HEAD_BYTES = 64

FITS_SUFFIXES = (".fits", ".fit", ".fts", ".fits.gz", ".fit.gz", ".fts.gz", ".fits.fz", ".fit.fz", ".fz")
FOREIGN_SUFFIXES = (
    *(".xisf", ".tif", ".tiff", ".png", ".ser"),
    *(
        ".raw",
        ".cr2",
        ".cr3",
        ".nef",
        ".nrw",
        ".arw",
        ".sr2",
        ".raf",
        ".dng",
        ".orf",
        ".rw2",
        ".pef",
        ".srw",
        ".3fr",
    ),
)
FRAME_SUFFIXES = FITS_SUFFIXES + FOREIGN_SUFFIXES
"""What a frame's name may end in: others of a folder are not tried."""

_SEQUENCE = re.compile(r"(?P<file>.*\.ser)#(?P<number>[1-9]\d{0,8})", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reader:
    """A format: what it begins with, its usual suffix, and what reads it, loaded when it is wanted."""

    suffix: str
    begins: Callable[[bytes], bool]
    open: Callable[[Data, int], ForeignImage]


def _xisf(data: Data, number: int) -> ForeignImage:
    from library.formats import xisf

    return xisf.open_image(data, number)


def _png(data: Data, number: int) -> ForeignImage:
    from library.formats import png

    return png.open_image(data, number)


def _ser(data: Data, number: int) -> ForeignImage:
    from library.formats import ser

    return ser.open_image(data, number)


def _tiff(data: Data, number: int) -> ForeignImage:
    from library.formats import camera_raw

    if camera_raw.is_camera_raw(data):
        return camera_raw.open_image(data, number)
    from library.formats import tiff

    return tiff.open_image(data, number)


def _raw(data: Data, number: int) -> ForeignImage:
    from library.formats import camera_raw

    return camera_raw.open_image(data, number)


def _begins(*magic: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magic)


_RAW_MAGIC = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")

READERS = (
    Reader(".xisf", _begins(b"XISF0100"), _xisf),
    Reader(".png", _begins(b"\x89PNG\r\n\x1a\n"), _png),
    Reader(".ser", _begins(b"LUCAM-RECORDER"), _ser),
    Reader(".cr2", lambda head: head.startswith((b"II*\0", b"MM\0*")) and head[8:10] == b"CR", _raw),
    Reader(".tif", _begins(b"II*\0", b"MM\0*"), _tiff),
    Reader(".cr3", lambda head: head[4:11] == b"ftypcrx", _raw),
    Reader(".raf", _begins(b"FUJIFILMCCD-RAW"), _raw),
    Reader(".raw", _begins(*_RAW_MAGIC), _raw),
)

_JPEG = (
    "a JPEG is a picture of 8 bits, stretched and packed with loss: it cannot be calibrated; let the camera "
    "keep raw files"
)
_OTHERS: tuple[tuple[Callable[[bytes], bool], str, str], ...] = (
    (_begins(b"\xff\xd8\xff"), "JPEG pictures", _JPEG),
    (_begins(b"GIF8"), "GIF pictures", "a GIF is a picture to look at, and no frame"),
    (lambda head: head[4:8] == b"ftyp", "pictures or films", "a compressed picture or film, and no frame"),
    (
        lambda head: head[:4] == b"RIFF" and head[8:12] in {b"AVI ", b"WEBP"},
        "pictures or films",
        "a picture or film to look at, and no frame; record SER instead",
    ),
    (_begins(b"BM"), "BMP pictures", "a BMP is a picture of 8 bits, and no frame"),
    (_begins(b"%PDF"), "documents", "a document, and no frame"),
    (_begins(b"PK\3\4"), "archives", "an archive, and no frame; unpack it"),
)


def reader_of(head: bytes) -> Reader | None:
    """The reader for a file that begins so; None for FITS, and for what nobody knows."""
    return next((reader for reader in READERS if reader.begins(head)), None)


def check_frame(name: str, head: bytes) -> None:
    """Raise :class:`NotAFrameError` for a file that begins as what is known to be no frame."""
    for begins, what, reason in _OTHERS:
        if begins(head):
            raise NotAFrameError(f"{name}: {reason}", what)


def open_foreign(data: Data, number: int = 0) -> ForeignImage | None:
    """The image of a file that is no FITS; None for one that may be FITS.

    Raises :class:`UnreadableImageError`, :class:`NotAFrameError` for what is no frame by its content.
    """
    head = data.piece(0, HEAD_BYTES)
    reader = reader_of(head)
    if reader is not None:
        return reader.open(data, number)
    check_frame(data.name, head)
    return None


def suffix_of(data: Data) -> str | None:
    """The suffix that suits a file's content; None for FITS, and for what nobody knows."""
    reader = reader_of(data.piece(0, HEAD_BYTES))
    if reader is None or reader.suffix != ".tif":
        return None if reader is None else reader.suffix
    from library.formats import camera_raw, ifd

    if not camera_raw.is_camera_raw(data):
        return ".tif"
    exif = camera_raw.exif_of(data)
    if exif.integers(ifd.DNG_VERSION):
        return ".dng"
    make = exif.text(ifd.MAKE).lower()
    suffixes = {"nikon": ".nef", "sony": ".arw", "pentax": ".pef", "ricoh": ".pef", "samsung": ".srw"}
    return next((suffix for name, suffix in suffixes.items() if name in make), ".raw")


def sequence_place(path: Path) -> tuple[Path, int] | None:
    """The file and the number (from 0) of a frame of a sequence, ``video.ser#7``; None for any other path."""
    match = _SEQUENCE.fullmatch(path.name)
    return None if match is None else (path.with_name(match["file"]), int(match["number"]) - 1)


def frames_in(path: Path) -> tuple[Path, ...]:
    """The paths of a file's frames: itself, or those of a sequence. Raises :class:`UnreadableImageError`."""
    if not path.name.lower().endswith(".ser"):
        return (path,)
    from library.formats import ser

    try:
        data = Data.of_file(path)
        if not data.piece(0, HEAD_BYTES).startswith(ser.MAGIC):
            return (path,)
    except OSError:
        return (path,)  # reading it will say what is wrong
    return tuple(path.with_name(f"{path.name}#{n + 1}") for n in range(ser.count_frames(data)))
