"""A foreign image as the FITS file that it would be, so that whoever reads FITS reads it."""

from __future__ import annotations

import io
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from library.cards import HeaderUnit, walk
from library.formats.image import ForeignImage
from library.writing import encode_header, encode_image


class ForeignStream(io.RawIOBase):
    """The bytes of that FITS file. They are made when somebody reads them; the pixels can be had without."""

    def __init__(self, image: ForeignImage) -> None:
        self.image = image
        self.header = encode_header(fits_shape(image), image.dtype, image.cards)
        self._whole: BytesIO | None = None

    def unit(self) -> HeaderUnit:
        """Its header."""
        return next(walk(BytesIO(self.header)))

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be sought in."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        return self._bytes().seek(offset, whence)

    def tell(self) -> int:
        """The place."""
        return self._bytes().tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer."""
        return self._bytes().readinto(buffer)

    def _bytes(self) -> BytesIO:
        if self._whole is None:
            self._whole = BytesIO(b"".join(encode_image(self.image.pixels(), self.image.cards, exact=True)))
            self._whole.seek(len(self.header))
        return self._whole


def fits_shape(image: ForeignImage) -> tuple[int, ...]:
    """The shape as FITS has it: the planes come first."""
    sides = (image.height, image.width)
    return sides if image.planes == 1 else (image.planes, *sides)


def physical(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Pixels of the types that frames have: 8 and 16 bits stay, all else is float32."""
    kept = pixels.dtype.name in {"uint8", "int16", "uint16"}
    return pixels if kept else pixels.astype(np.float32)
