"""Whether the image that came is the one that was ordered, as far as its header tells."""

from __future__ import annotations

from collections.abc import Mapping

_CARD, _MOST_CARDS = 80, 36 * 20
_TOLERANCE_PX = 32
"""Drivers trim a frame to multiples that their readout likes, or leave a few columns of overscan."""


def unlike_order(fits: bytes, *, binning: int, width_px: float | None, height_px: float | None) -> str | None:
    """Say what is wrong with a FITS image for an order of this binning and unbinned size; ``None``: nothing.

    What the header or the driver (``None`` or 0) leaves out is taken to be right.
    """
    cards = _integers(fits, ("NAXIS1", "NAXIS2", "XBINNING", "YBINNING"))
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


def _integers(fits: bytes, names: tuple[str, ...]) -> Mapping[str, int]:
    """The whole numbers of these cards in the primary header."""
    found: dict[str, int] = {}
    for start in range(0, _MOST_CARDS * _CARD, _CARD):
        card = fits[start : start + _CARD].decode("ascii", "replace")
        name, mark, value = card[:8].rstrip(), card[8:10], card[10:].split("/")[0].strip()
        if name == "END" or not card:
            break
        if mark == "= " and name in names and value.isdecimal():
            found[name] = int(value)
    return found
