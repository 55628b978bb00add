"""From the big-endian words of a file to pixels: BZERO, BSCALE and BLANK as the FITS standard means them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.cards import CardValue, HeaderError, HeaderUnit
from library.numeric_cards import number

Pixels = NDArray[Any]

_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


def stored_dtype(unit: HeaderUnit) -> np.dtype[Any]:
    """The big-endian type that BITPIX names."""
    bitpix = unit.integer("BITPIX")
    if bitpix not in _DTYPES:
        raise HeaderError(f"BITPIX is {bitpix}")
    return np.dtype(_DTYPES[bitpix])


def decode(stored: Pixels, header: Mapping[str, CardValue]) -> Pixels:
    """Big-endian stored values as physical ones in native order."""
    pixels = np.empty(stored.shape, physical_dtype(stored.dtype, header))
    decode_into(pixels, stored, header)
    return pixels


def holds_words(unit: HeaderUnit) -> bool:
    """Whether a plain file's pixels are uint16 as they lie there, but for the sign bit."""
    return _is_unsigned(stored_dtype(unit), scaling_of(unit.values))


def physical_dtype(stored: np.dtype[Any], header: Mapping[str, CardValue]) -> np.dtype[Any]:
    """That of pixels whose BZERO and BSCALE have been applied."""
    scaling = scaling_of(header)
    if _is_unsigned(stored, scaling):
        return np.dtype(np.uint16)
    as_stored = scaling.is_none and stored.itemsize <= 2
    return stored.newbyteorder("=") if as_stored else np.dtype(np.float32)


def decode_into(pixels: Pixels, stored: Pixels, header: Mapping[str, CardValue]) -> None:
    """Fill an array of :func:`physical_dtype` with the physical values of stored ones."""
    scaling = scaling_of(header)
    if _is_unsigned(stored.dtype, scaling):  # the same bits as adding 32768
        np.bitwise_xor(stored.view(">u2"), np.uint16(0x8000), out=pixels)
        return
    with np.errstate(over="ignore", invalid="ignore"):  # a faulty BSCALE makes infinities, as it says
        if (scaling.zero, scaling.scale) == (0.0, 1.0):
            pixels[...] = stored
        else:
            pixels[...] = stored * scaling.scale + scaling.zero
    if scaling.blank is not None and stored.dtype.kind in "iu":
        pixels[stored == scaling.blank] = np.nan


@dataclass(frozen=True, slots=True)
class Scaling:
    """How stored values become physical ones; ``blank`` is the stored value of a pixel without one."""

    zero: float
    scale: float
    blank: int | None

    @property
    def is_none(self) -> bool:
        """Whether values are physical as they are stored."""
        return (self.zero, self.scale, self.blank) == (0.0, 1.0, None)


def scaling_of(header: Mapping[str, CardValue]) -> Scaling:
    """Raises :class:`HeaderError` for a BZERO or BSCALE that is no number: pixels would be wrong."""
    zero, scale = _scaling(header, "BZERO", 0.0), _scaling(header, "BSCALE", 1.0)
    if scale == 0:
        raise HeaderError("BSCALE is 0, which makes all pixels alike")
    keyword = "ZBLANK" if header.get("ZIMAGE") is True and "BLANK" not in header else "BLANK"
    blank = number(header.get(keyword))
    return Scaling(zero, scale, int(blank) if blank is not None and blank.is_integer() else None)


def _is_unsigned(stored: np.dtype[Any], scaling: Scaling) -> bool:
    return stored == ">i2" and scaling == _UNSIGNED


_UNSIGNED = Scaling(32768.0, 1.0, None)


def _scaling(header: Mapping[str, CardValue], keyword: str, default: float) -> float:
    value = header.get(keyword)
    if value is None or (isinstance(value, str) and not value.strip()):
        return default
    found = number(value)
    if found is None:
        raise HeaderError(f"{keyword} is {value!r}, no number")
    return found
