"""What is to be said of a foreign frame before it is taken: what it lacks, and what does not go together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from library.adu import FULL_SCALE_ADU, NORMALISED, is_normalised, may_be_normalised
from library.cards import Card, HeaderUnit, parse_card
from library.formats.table import FRAME_SUFFIXES
from library.frames import FrameKind
from library.importing.source import Source
from library.keywords import N_COMBINED, kind_text, known_kind, says_master, unread
from library.reading import meta_of

_CALIBRATION = {FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT, FrameKind.FLAT_DARK}
_TIMED = {FrameKind.DARK, FrameKind.FLAT_DARK}
_DERIVED = {FrameKind.DEFECTS, FrameKind.DARK_MODEL}
_KIND_WORDS = {
    **dict.fromkeys(("light", "lights"), FrameKind.LIGHT),
    **dict.fromkeys(("bias", "biases", "masterbias"), FrameKind.BIAS),
    **dict.fromkeys(("dark", "darks", "masterdark"), FrameKind.DARK),
    **dict.fromkeys(("flat", "flats", "masterflat"), FrameKind.FLAT),
    **dict.fromkeys(("darkflat", "darkflats", "flatdark", "flatdarks"), FrameKind.FLAT_DARK),
}
_INTEGRATED = re.compile(r"(?:Image|Fast)Integration\.numberOfImages:\s*(\d{1,9})\b")


def derived_cards(source: Source) -> tuple[list[Card], list[str]]:
    """Facts that a foreign file tells in its own way, as cards that we read, and what to tell of them.

    The number of frames from PixInsight's HISTORY; the scale of floats that were divided by 65535.
    """
    cards: list[Card] = []
    told: list[str] = []
    if not set(N_COMBINED) & source.unit.values.keys() and (count := frames_in_history(source.unit)):
        cards.append(("NCOMBINE", count, "from PixInsight's HISTORY"))
        told.append(f"NCOMBINE = {count} (from its HISTORY)")
    meta = source.meta
    if may_be_normalised(source.unit, meta) and is_normalised(source.pixels, meta.kind):
        cards.append(("BSCALE", FULL_SCALE_ADU, "pixels of 0...1 as ADU"))
        told.append(NORMALISED)
    return cards, told


def is_master(unit: HeaderUnit) -> bool:
    """Whether it is a master or a stack: by its count of frames, its kind's name, or as it is derived."""
    meta = meta_of(unit)
    return meta.n_combined > 1 or meta.kind in _DERIVED or says_master(kind_text(unit.values))


def why_refused(path: Path, unit: HeaderUnit) -> str | None:
    """The reason why a frame cannot be taken as it is, with the remedy."""
    meta, told = meta_of(unit), kind_text(unit.values)
    name_says = kind_of_name(path)
    if not told and name_says in _CALIBRATION:
        kind = name_says.replace("_", "")
        return (
            f"its header has no IMAGETYP, but its name speaks of a {kind}: --set IMAGETYP={kind} (or light)"
        )
    kind = meta.kind.replace("_", "-")
    if meta.kind in _CALIBRATION and not meta.camera:
        return f"a {kind} of no camera (INSTRUME) can calibrate nothing: --set CAMERA=NAME"
    if meta.kind in _TIMED and meta.exposure_s is None:
        found = "; ".join(text for text in unread(unit.values) if "exposure" in text)
        if found:
            return f"a {kind} without an exposure can calibrate nothing, and {found}: --set EXPTIME=SECONDS"
        return f"a {kind} of no exposure (EXPTIME) can calibrate nothing: --set EXPTIME=SECONDS"
    return None


def remarks(path: Path, unit: HeaderUnit) -> Iterator[str]:
    """What the user should know of a frame that is taken."""
    meta, told = meta_of(unit), kind_text(unit.values)
    if not told:
        yield "no IMAGETYP: counted as light; --set IMAGETYP=… says otherwise"
    elif known_kind(told) is None:
        yield f"IMAGETYP {told!r} is no kind that is known: counted as light"
    elif (name_says := kind_of_name(path)) not in {None, meta.kind}:
        yield (
            f"its name speaks of a {name_says}, its header of a {meta.kind}, which stands; "
            f"--set IMAGETYP={name_says} --override says otherwise"
        )
    yield from unread(unit.values)
    if meta.kind is FrameKind.LIGHT and not meta.camera:
        yield "no camera (INSTRUME): nothing can calibrate it; --set CAMERA=NAME"
    if meta.kind in _CALIBRATION:
        values = {"GAIN": meta.gain, "CCD-TEMP": meta.sensor_temp_c if meta.set_temp_c is None else 0}
        missing = [keyword for keyword, value in values.items() if value is None]
        if missing and meta.kind is not FrameKind.FLAT:
            yield f"no {' and no '.join(missing)}: --set it, or it fits only lights that lack it too"
        if is_master(unit) and meta.n_combined == 1:
            yield "a master of how many frames? --set NCOMBINE=N"
    if meta.calibrated:
        status = unit.values.get("CALSTAT")
        card = f"CALSTAT {status}" if status else meta.calibrated
        yield f"is calibrated already ({card}): what was done is not done again"


def kind_of_name(path: Path) -> FrameKind | None:
    """The kind that a word of the file's name or of its folder's is, if one is."""
    name = path.name.lower()
    stem = name[: -len(next((suffix for suffix in FRAME_SUFFIXES if name.endswith(suffix)), "")) or None]
    for text in (stem, path.parent.name.lower()):
        kinds = {_KIND_WORDS[word] for word in re.split(r"[^a-z]+", text) if word in _KIND_WORDS}
        if FrameKind.DARK in kinds and FrameKind.FLAT in kinds:
            return FrameKind.FLAT_DARK
        if len(kinds) == 1:
            return kinds.pop()
    return None


def frames_in_history(unit: HeaderUnit) -> int | None:
    """How many frames PixInsight says in its HISTORY that it has integrated, if it does."""
    for raw in unit.raw_cards:
        keyword, text, _ = parse_card(raw)
        if keyword == "HISTORY" and (match := _INTEGRATED.search(str(text))):
            return int(match[1])
    return None
