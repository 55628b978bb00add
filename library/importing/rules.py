"""Keywords that the user supplies for frames that lack them: by hand, from a file, or from their names."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from library.cards import Card, CardValue
from library.errors import LibraryError
from library.frames import FrameMeta
from library.headers import IMAGE_TYPES
from library.keywords import N_COMBINED, frame_meta, kind_text, known_kind, says_master
from library.opening import read_text
from library.templates import Template

ALIASES = {
    "KIND": "IMAGETYP",
    "CAMERA": "INSTRUME",
    "EXPOSURE": "EXPTIME",
    "TEMP": "CCD-TEMP",
    "TELESCOPE": "TELESCOP",
    "READMODE": "READOUTM",
    "BAYER": "BAYERPAT",
    "DATE": "DATE-OBS",
    "FRAMES": "NCOMBINE",
}
"""What a user may say for a keyword; BINNING is two of them."""

_FIELDS = {
    "INSTRUME": "camera",
    "EXPTIME": "exposure_s",
    "CCD-TEMP": "sensor_temp_c",
    "SET-TEMP": "set_temp_c",
    "GAIN": "gain",
    "ISOSPEED": "gain",
    "OFFSET": "offset",
    "FILTER": "filter",
    "BAYERPAT": "bayer_pattern",
    "READOUTM": "read_mode",
    "OBJECT": "object_name",
    "TELESCOP": "telescope",
    "FOCALLEN": "focal_length_mm",
    "ROTATANG": "rotator_deg",
    "DATE-OBS": "date_obs",
    "EGAIN": "egain_e_per_adu",
}
_BINNING = ("XBINNING", "YBINNING")
_BINNINGS = {"XBINNING", "YBINNING", "CCDXBIN", "CCDYBIN", "BINNING"}
_RULE_KEYS = {"path", "header", "set", "from_name", "override"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Values for the frames whose path and header look like the patterns; ``origin`` says whose rule it is.

    A value fills what the header leaves out. Where the header says something else, the header stands and the
    user is told, unless ``override``.
    """

    origin: str
    values: Mapping[str, CardValue] = field(default_factory=dict)
    path: str | None = None
    header: Mapping[str, str] = field(default_factory=dict)
    from_name: Template | None = None
    override: bool = False

    def fits(self, path: Path, header: Mapping[str, CardValue]) -> bool:
        """Whether the frame is one of those it is for; patterns are globs, their case does not count."""
        if self.path and not (_like(path.as_posix(), self.path) or _like(path.name, self.path)):
            return False
        return all(_like(str(header.get(key, "")), pattern) for key, pattern in self.header.items())


@dataclass(frozen=True, slots=True)
class Filled:
    """What the rules made of one frame: cards for its header, and what to tell."""

    cards: tuple[Card, ...]
    told: tuple[str, ...]
    contradictions: tuple[str, ...]


def setting(text: str) -> dict[str, CardValue]:
    """``KEYWORD=value`` as keywords and values, checked: ``CAMERA=ASI 294``, ``BINNING=2x2``, ``KIND=dark``.

    Raises ``ValueError``.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not KEYWORD=value")
    return checked(name, value.strip())


def checked(name: str, value: CardValue) -> dict[str, CardValue]:
    """A user's value under its keyword, of the type it needs; raises ``ValueError`` for one that is none."""
    keyword = ALIASES.get(name.strip().upper(), name.strip().upper())
    if keyword == "BINNING":
        match = re.fullmatch(r"(\d+)(?:x(\d+))?", str(value).lower())
        if match is None:
            raise ValueError(f"{value!r} is no binning; write 2 or 2x2")
        return {"XBINNING": int(match[1]), "YBINNING": int(match[2] or match[1])}
    if not re.fullmatch(r"[A-Z][A-Z0-9_-]{0,7}", keyword):
        raise ValueError(f"{name!r} is no FITS keyword")
    if keyword == "IMAGETYP":
        kind = known_kind(str(value))
        if kind is None:
            raise ValueError(
                f"there is no kind {value!r}; say light, bias, dark, flat, darkflat or 'master dark'"
            )
        return {
            keyword: f"Master {kind.replace('_', ' ').title()}"
            if says_master(str(value))
            else IMAGE_TYPES[kind]
        }
    is_text = keyword in _FIELDS and isinstance(_said({keyword: "1"}, keyword), str)
    if isinstance(value, str) and not is_text:
        value = _number_or_text(value)
        said = _said({keyword: value}, keyword)
        value = said if isinstance(value, str) and isinstance(said, float) else value
    if _said({keyword: value}, keyword) is None:
        raise ValueError(f"{value!r} is no value for {keyword}")
    return {keyword: value}


def load_rules(file: Path) -> list[Rule]:
    """The ``[[rule]]`` tables of a TOML file; raises :class:`LibraryError` with the rule that is wrong."""
    try:
        tables = tomllib.loads(read_text(file)).get("rule", [])
    except (OSError, ValueError, RecursionError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise LibraryError(f"{file}: cannot be read as rules: {reason}") from error
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise LibraryError(f"{file}: its rules are not [[rule]] tables")
    rules = []
    for number, table in enumerate(tables, start=1):
        try:
            rules.append(_rule(f"{file.name}, rule {number}", table))
        except (ValueError, TypeError, AttributeError) as error:
            raise LibraryError(f"{file}: rule {number}: {error}") from error
    return rules


def apply_rules(rules: Iterable[Rule], path: Path, header: Mapping[str, CardValue]) -> Filled:
    """What the rules give this frame; the first that knows a keyword counts."""
    cards: dict[str, CardValue] = {}
    told: list[str] = []
    contradictions: list[str] = []
    seen: set[str] = set()
    for rule in rules:
        if not rule.fits(path, header):
            continue
        for keyword, value in _values(rule, path, contradictions).items():
            if keyword in seen:
                continue
            seen.add(keyword)
            before, wanted = _said(header, keyword), _said({keyword: value}, keyword)
            if before == wanted:
                continue
            shown = f"{keyword} = {value} ({rule.origin})"
            if before is None or rule.override:
                cards[keyword] = value
                told.append(shown if before is None else f"{shown}, was {before}")
            else:
                contradictions.append(f"{shown} contradicts the header's {before}, which stands")
    return Filled(
        tuple((keyword, value, "given when it was imported") for keyword, value in cards.items()),
        tuple(told),
        tuple(contradictions),
    )


def _values(rule: Rule, path: Path, notes: list[str]) -> Mapping[str, CardValue]:
    if rule.from_name is None:
        return rule.values
    read = rule.from_name.read(path)
    if read is None:
        notes.append(f"its name is not like {rule.from_name.text}")
        return rule.values
    values: dict[str, CardValue] = {}
    for keyword, value in read.items():
        try:
            values |= checked(keyword, value)
        except ValueError as error:
            notes.append(f"its name: {error}")
    return values | dict(rule.values)


def _rule(origin: str, table: Mapping[str, Any]) -> Rule:
    if unknown := table.keys() - _RULE_KEYS:
        raise ValueError(f"{', '.join(sorted(unknown))} is none of {', '.join(sorted(_RULE_KEYS))}")
    values: dict[str, CardValue] = {}
    for name, value in table.get("set", {}).items():
        values |= checked(name, value)
    template = table.get("from_name")
    return Rule(
        origin=origin,
        values=values,
        path=table.get("path"),
        header={key.upper(): str(pattern) for key, pattern in table.get("header", {}).items()},
        from_name=None if template is None else Template(template),
        override=bool(table.get("override", False)),
    )


def _said(header: Mapping[str, CardValue], keyword: str) -> object:
    """What a header says under a keyword in any of its spellings, normalised, or ``None``."""
    meta: FrameMeta = frame_meta(header, 1, 1)
    if keyword == "IMAGETYP":
        text = kind_text(header)
        return (f"master {meta.kind}" if says_master(text) else meta.kind.value) if text else None
    if keyword in _BINNING:
        return meta.binning[_BINNING.index(keyword)] if _BINNINGS & header.keys() else None
    if keyword == "NCOMBINE":
        return meta.n_combined if set(N_COMBINED) & header.keys() else None
    value: object = getattr(meta, _FIELDS[keyword]) if keyword in _FIELDS else header.get(keyword)
    return None if value == "" else value


def _number_or_text(text: str) -> CardValue:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _like(text: str, pattern: str) -> bool:
    return fnmatchcase(text.lower(), pattern.lower())
