"""TIFF as pixels and FITS cards: 8 and 16 bits and float of one plane, 8 bits of three."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.cards import Card
from library.errors import NotAFitsFileError

_BITS_PER_SAMPLE, _MODEL, _EXIF = 258, 272, 34665
_EXPOSURE_S, _ISO = 33434, 34855
_PLANES = {"L", "I;16", "I;16L", "I;16B", "I", "F"}


def read_tiff(path: Path) -> tuple[NDArray[Any], list[Card], tuple[str, ...]]:
    """The first page of a file: pixels in their own type, the cards of a header, and what to tell of it.

    Rows are stored from the top. The model, exposure and ISO of EXIF become keywords; its time does not,
    as it has no zone. Raises :class:`NotAFitsFileError`, for three planes of 16 bits too: they could be
    read with 8 bits only.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with _no_bomb_warning(), Image.open(path) as image:
            tags = image.getexif()
            bits = tags.get(_BITS_PER_SAMPLE, 8)
            if image.mode not in _PLANES and not (image.mode == "RGB" and bits in {8, (8, 8, 8)}):
                raise NotAFitsFileError(
                    f"{path}: a TIFF of mode {image.mode} with {bits} bits; save it as FITS or XISF"
                )
            notes = ("has more pages: the first is taken",) if getattr(image, "n_frames", 1) > 1 else ()
            details = {**tags, **tags.get_ifd(_EXIF)}
            pixels = np.array(image)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise NotAFitsFileError(
            f"{path}: is no TIFF that can be read without loss ({error}); save it as FITS or XISF"
        ) from error
    cards: list[Card] = [("ROWORDER", "TOP-DOWN", "TIFF stores rows from the top")]
    if model := str(details.get(_MODEL, "")).strip("\0 "):
        cards.append(("INSTRUME", model, "from EXIF"))
    if exposure_s := details.get(_EXPOSURE_S):
        cards.append(("EXPTIME", float(exposure_s), "[s] from EXIF"))
    if iso := details.get(_ISO):
        cards.append(("ISOSPEED", int(iso[0] if isinstance(iso, tuple) else iso), "from EXIF"))
    return pixels, cards, notes


@contextmanager
def _no_bomb_warning() -> Iterator[None]:
    """Frames of a medium-format camera are large, and no attack."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
