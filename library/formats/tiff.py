"""TIFF as pixels and FITS cards: 8, 16 and 32 bits and floats, of one plane or three, by ``tifffile``."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from library.cards import Card
from library.formats import ifd
from library.formats.image import Data, ForeignImage, decoding, justify, refused

if TYPE_CHECKING:
    from tifffile import TiffPage

FORMAT = "TIFF"

_UNPACKED = 1
_LOSSLESS = {_UNPACKED, 5, 8, 32946, 32773, 34925, 50000}
"""None, LZW, deflate (two numbers), PackBits, LZMA, Zstandard."""

_MINISBLACK, _RGB, _CFA = 1, 2, 32803
_TYPES = {"uint8", "uint16", "uint32", "float16", "float32", "float64"}
_BOTTOM_UP = 4
_FIRST_PAGE = "has more pages: the first is taken"
_CFA_LETTERS = "RGBCMYW"
_REMEDY = "save it as FITS, XISF or a plain 16-bit TIFF"


def open_image(data: Data, _number: int = 0) -> ForeignImage:
    """Look at the first page of a file. Raises :class:`UnreadableImageError`.

    The model, exposure and ISO of EXIF become keywords; its time does not, as it has no zone.
    """
    from tifffile import TiffFile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs what it also raises
    with decoding(data, FORMAT), data.opened() as stream, TiffFile(stream, name=data.name) as file:
        page = file.pages.first
        shape, planes, dtype = _checked(data, page)
        end = _end(page)
        notes = [_FIRST_PAGE] if len(file.pages) > 1 else []
        if page.samplesperpixel > planes:
            notes.append("its alpha channel is left out")
    exif = next(ifd.directories(data.piece), ifd.Directory())
    stored = np.dtype(np.float32) if dtype == np.float16 else dtype

    def load() -> NDArray[Any]:
        with data.opened() as stream, TiffFile(stream, name=data.name) as file:
            first = file.pages.first
            pixels = np.asarray(first.asarray(maxworkers=1))
        if planes == 3 and first.planarconfig == 2:
            pixels = np.moveaxis(pixels, 0, -1)
        pixels = pixels.reshape(*shape, -1)[..., :planes]
        return np.ascontiguousarray(pixels if planes == 3 else pixels[..., 0], dtype=stored)

    return ForeignImage(
        data=data,
        format=FORMAT,
        height=shape[0],
        width=shape[1],
        planes=planes,
        dtype=stored,
        cards=tuple(_cards(exif)),
        load=load,
        end=end,
        notes=tuple(notes),
    )


def _checked(data: Data, page: TiffPage) -> tuple[tuple[int, int], int, np.dtype[Any]]:
    """Size, number of planes (1 or 3), and type of a page that can be read without loss."""
    compression, photometric, samples = int(page.compression), int(page.photometric), page.samplesperpixel
    if page.imagedepth != 1 or samples not in {1, 2, 3, 4}:
        raise refused(data, f"a TIFF of {samples} samples a pixel is neither one plane nor three; {_REMEDY}")
    if compression not in _LOSSLESS:
        raise refused(
            data, f"its pixels are packed with loss or unknown to us ({page.compression!r}); {_REMEDY}"
        )
    if photometric not in {_MINISBLACK, _RGB, _CFA}:
        raise refused(data, f"its pixels are no light ({page.photometric!r}); {_REMEDY}")
    if page.dtype is None or page.dtype.name not in _TYPES or page.bitspersample != 8 * page.dtype.itemsize:
        raise refused(data, f"a TIFF of {page.bitspersample} bits of {page.dtype} is not read; {_REMEDY}")
    height, width = page.imagelength, page.imagewidth
    packed = compression != _UNPACKED or page.predictor not in {0, 1}
    stored = sum(page.databytecounts)
    justify(data, FORMAT, (height, width, samples), page.dtype, stored, packed=packed)
    if _end(page) > data.size:
        raise refused(data, f"is cut short: {data.size} bytes; check that it was copied whole")
    if page.is_tiled and math.prod(page.chunks) > 16 * max(height, 256) * max(width, 256) * samples:
        raise refused(data, f"its tiles of {page.chunks} pixels are larger than its image")
    return (height, width), 3 if samples >= 3 else 1, np.dtype(page.dtype.name)


def _end(page: TiffPage) -> int:
    """Where the last of its strips or tiles ends."""
    pieces = zip(page.dataoffsets, page.databytecounts, strict=True)
    return max((start + count for start, count in pieces), default=0)


def _cards(exif: ifd.Directory) -> Iterator[Card]:
    bottom_up = exif.integer(ifd.ORIENTATION) == _BOTTOM_UP
    yield (
        "ROWORDER",
        "BOTTOM-UP" if bottom_up else "TOP-DOWN",
        "by its Orientation" if bottom_up else "TIFF stores rows from the top",
    )
    if model := exif.text(ifd.MODEL):
        yield "INSTRUME", model, "from EXIF"
    if exposure_s := exif.number(ifd.EXPOSURE):
        yield "EXPTIME", exposure_s, "[s] from EXIF"
    if iso := exif.integer(ifd.ISO):
        yield "ISOSPEED", iso, "from EXIF"
    if exif.integer(ifd.PHOTOMETRIC) == _CFA and exif.integers(ifd.CFA_PATTERN):
        letters = exif.integers(ifd.CFA_PATTERN)
        pattern = "".join(_CFA_LETTERS[n] if 0 <= n < len(_CFA_LETTERS) else "?" for n in letters[:36])
        yield "BAYERPAT", pattern, "from CFAPattern"
