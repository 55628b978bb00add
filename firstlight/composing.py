"""``firstlight compose``: stacks of several filters in, one colour FITS out, with a preview if asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from develop.colour import Band, Layer, bands_of, compose
from develop.errors import DevelopError
from develop.filters import role
from develop.palettes import best_palette, palette
from firstlight.errors import FirstlightError
from firstlight.file_suffixes import check_suffixes
from firstlight.stack_output import write_picture
from library.cards import Card
from library.errors import LibraryError
from library.keywords import kept_value
from library.opening import resolved
from library.reading import Frame, read_frame
from library.writing import write_image

_KEPT = (
    "OBJECT", "DATE-OBS", "TELESCOP", "INSTRUME", "FOCALLEN", "XPIXSZ", "YPIXSZ", "OBJCTRA", "OBJCTDEC",
    "ROWORDER",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """What was made of what: the palette and the filters in the order of the files."""

    palette: str
    filters: tuple[str, ...]
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class _ColourStack:
    pixels: NDArray[np.float32]
    coverage: NDArray[np.uint16]


def compose_files(
    stacks: Sequence[Path],
    output: Path,
    *,
    palette_name: str | None = None,
    scnr: float = 0.0,
    preview: Path | None = None,
) -> Composed:
    """Compose aligned stacks of one size into ``output``: three planes of linear float32, NaN where one ends.

    A file's filter is that of its header, else of its name. Without a palette the best is taken that the
    filters allow. Raises FirstlightError for stacks that make no picture and for files that cannot be read or
    written.
    """
    check_suffixes(output, preview)
    for path in (output, preview):
        if path is not None and not path.parent.is_dir():
            raise FirstlightError(f"{path}: its folder is not there; make it with: mkdir -p '{path.parent}'")
        if path is not None and resolved(path) in {resolved(stack) for stack in stacks}:
            raise FirstlightError(f"{path} is one of the stacks; name another file to write")
    layers: dict[str | None, Layer] = {}
    first: Frame | None = None
    for path in stacks:
        frame, name = _read(path)
        first = first or frame
        if name in layers:
            raise FirstlightError(f"{path}: a second stack of the filter {name}; stack all its subs into one")
        if frame.pixels.shape[:2] != first.pixels.shape[:2]:
            sizes = " and ".join(f"{f.pixels.shape[1]} × {f.pixels.shape[0]}" for f in (frame, first))
            raise FirstlightError(
                f"{path}: the stacks are not of one size ({sizes} px); stack every filter on one reference"
            )
        layers[name] = _layer(frame.pixels)
    if first is None:
        raise FirstlightError("no stack to compose; name the stacks of two filters or more")
    try:
        chosen = palette(palette_name) if palette_name else best_palette(bands_of(layers))
        picture = compose(layers, chosen, scnr=scnr) if chosen else None
    except DevelopError as error:
        raise FirstlightError(str(error)) from error
    names = tuple(str(name) for name in layers)
    if chosen is None or picture is None:
        raise FirstlightError(
            f"the filters {', '.join(names)} make no colour: it takes R, G and B, "
            "or two of Ha, OIII and SII, or one colour stack"
        )
    layers.clear()
    try:
        write_image(output, picture, list(_cards(first, chosen, names)))
        if preview is not None:
            write_picture(preview, picture)
    except OSError as error:
        raise FirstlightError(f"{error.filename or output}: cannot be written: {error.strerror}") from error
    return Composed(palette=chosen, filters=names, width=picture.shape[1], height=picture.shape[0])


def _read(path: Path) -> tuple[Frame, str]:
    try:
        frame = read_frame(path)
    except LibraryError as error:
        raise FirstlightError(str(error)) from error
    name = frame.meta.filter or path.stem
    if frame.pixels.ndim == 2 and role(name) is None:
        said = "filter is" if frame.meta.filter else "header has no FILTER, and its name is"
        raise FirstlightError(
            f'{path}: its {said} "{name}", which tells none of L, R, G, B, Ha, OIII, SII; '
            "leave it out, or set FILTER"
        )
    return frame, name


def _layer(pixels: NDArray[np.generic]) -> Layer:
    """What is exactly 0 or NaN in a stack was not seen: light has a sky below it."""
    light: NDArray[np.float32] = np.asarray(pixels, dtype=np.float32)
    if light.ndim == 2:
        return Band(light, np.asarray(light != 0, dtype=np.uint16))
    return _ColourStack(light, np.asarray((light != 0).any(axis=2), dtype=np.uint16))


def _cards(first: Frame, chosen: str, names: Sequence[str]) -> Iterator[Card]:
    for keyword in _KEPT:
        kept = kept_value(first.header, keyword)
        if kept is not None:
            yield keyword, kept, "as in the first stack"
    yield "PALETTE", chosen, "what red, green and blue are made of"
    for number, name in enumerate(names, 1):
        yield f"FILTER{number}", name, "filter of a stack in it"
    yield "CREATOR", "firstlight", ""
