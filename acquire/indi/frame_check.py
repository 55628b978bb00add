"""Whether the image that came is the one that was ordered, as far as its header tells."""

from __future__ import annotations

import contextlib
import math

_CARD, _MOST_CARDS = 80, 36 * 20
_TOLERANCE_PX = 32
"""Drivers trim a frame to multiples that their readout likes, or leave a few columns of overscan."""


_TOLERANCE, _TOLERANCE_S = 0.1, 0.1
"""An exposure's share, and seconds, by which a driver's figure may differ from the order's."""


def unlike_order(
    fits: bytes,
    *,
    binning: int,
    width_px: float | None,
    height_px: float | None,
    exposure_s: float | None = None,
) -> str | None:
    """Say what is wrong with a FITS image for an order of this binning, unbinned size and exposure.

    ``None``: nothing is wrong.

    What the header or the driver (``None`` or 0) leaves out is taken to be right.
    """
    numbers = _numbers(fits, ("NAXIS1", "NAXIS2", "XBINNING", "YBINNING", "EXPTIME"))
    came_s = numbers.pop("EXPTIME", exposure_s)
    off_s = abs(came_s - exposure_s) if came_s is not None and exposure_s is not None else 0.0
    if off_s > _TOLERANCE_S + _TOLERANCE * (exposure_s or 0.0):
        return f"it was exposed for {came_s:g} s instead of {exposure_s:g} s"
    cards = {name: int(value) for name, value in numbers.items()}
    came = [cards.get(f"{axis}BINNING", binning) for axis in "XY"]
    if came != [binning, binning]:
        return f"it is binned {came[0]}×{came[1]} instead of {binning}×{binning}"
    ordered = [int((size or 0) // binning) for size in (width_px, height_px)]
    sides = [cards.get("NAXIS1", 0), cards.get("NAXIS2", 0)]
    if any(
        side and want and abs(side - want) > _TOLERANCE_PX for side, want in zip(sides, ordered, strict=True)
    ):
        return f"it has {sides[0]}×{sides[1]} pixels instead of {ordered[0]}×{ordered[1]}"
    return None


def _numbers(fits: bytes, names: tuple[str, ...]) -> dict[str, float]:
    """The numbers of these cards in the primary header; sizes and binnings are whole ones."""
    found: dict[str, float] = {}
    for start in range(0, _MOST_CARDS * _CARD, _CARD):
        card = fits[start : start + _CARD].decode("ascii", "replace")
        name, mark, value = card[:8].rstrip(), card[8:10], card[10:].split("/")[0].strip()
        if name == "END" or not card:
            break
        if mark != "= " or name not in names:
            continue
        if value.isdecimal() or name == "EXPTIME":
            with contextlib.suppress(ValueError):
                number = float(value)
                if math.isfinite(number):
                    found[name] = number
    return found
