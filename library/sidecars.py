"""Keywords of a frame whose own header must not be touched: FITS cards in a text file beside it.

``NAME.fits.cards`` says of ``NAME.fits`` what a rule of the user's gave when the frame was linked, one card a
line. Whoever reads the frame reads them as if they stood in its header, see docs/adr/0005-imported-frames.md.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path

from library.cards import Card, HeaderUnit, format_card, parse_card, with_cards
from library.opening import read_file
from library.writing import write_durably

SIDECAR_SUFFIX = ".cards"
_NO_SIDECAR = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


def sidecar_of(file: Path) -> Path:
    """Where a frame's sidecar lies, if it has one."""
    return file.with_name(file.name + SIDECAR_SUFFIX)


def write_sidecar(file: Path, cards: Iterable[Card]) -> None:
    """Make the cards durable beside the frame, in place of what was there."""
    lines = [format_card(*card).rstrip() + b"\n" for card in cards]
    write_durably(sidecar_of(file), [b"".join(lines)])


def read_sidecar(file: Path) -> list[Card]:
    """The cards that lie beside a frame, none if there is no sidecar."""
    try:
        lines = read_file(sidecar_of(file)).splitlines()
    except OSError as error:
        if error.errno in _NO_SIDECAR:
            return []
        raise
    return [parse_card(line) for line in lines if line.strip()]


def with_sidecar(file: Path, unit: HeaderUnit) -> HeaderUnit:
    """The header with the sidecar's cards in it; without one it is what it was."""
    cards = read_sidecar(file)
    return with_cards(unit, cards) if cards else unit
