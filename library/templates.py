"""File names from a template, in Ekos's tokens (``%t_%F``) or N.I.N.A.'s (``$$TARGETNAME$$``), both ways.

What the tokens mean and how their values are written is taken from KStars's ``placeholderpath.cpp`` and
N.I.N.A.'s ``ImagePatterns.cs``. Times are local, as theirs are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from library.cards import CardValue
from library.config import config_error, config_section
from library.errors import LibraryError
from library.frames import FrameKind, FrameMeta
from library.keywords import night_of
from library.naming import safe_name

_EKOS_KINDS = {
    FrameKind.LIGHT: "Light",
    FrameKind.BIAS: "Bias",
    FrameKind.DARK: "Dark",
    FrameKind.FLAT: "Flat",
    FrameKind.FLAT_DARK: "DarkFlat",
    FrameKind.DEFECTS: "Defects",
    FrameKind.DARK_MODEL: "DarkModel",
}
_FILTERED = {FrameKind.LIGHT, FrameKind.FLAT, FrameKind.FLAT_DARK}


@dataclass(frozen=True, slots=True)
class Moment:
    """What a token may speak of: the frame, its local time, and its number among frames of one name."""

    meta: FrameMeta
    local: datetime
    number: int
    width: int

    @property
    def temp_c(self) -> float | None:
        """The set point, as Ekos has it, or else the sensor's temperature."""
        return self.meta.sensor_temp_c if self.meta.set_temp_c is None else self.meta.set_temp_c


@dataclass(frozen=True, slots=True)
class Token:
    """One token: how it is written, how it looks in a name, and the keywords that its text gives."""

    write: Callable[[Moment], str]
    pattern: str
    keywords: tuple[str, ...] = ()
    optional: bool = False


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _ekos_exposure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value == int(value) else f"{value:.{3 if value >= 1e-3 else 6}f}"


def _binning(moment: Moment) -> str:
    return "{}x{}".format(*moment.meta.binning)


def _filter(moment: Moment) -> str:
    return (moment.meta.filter or "") if moment.meta.kind in _FILTERED else ""


_INTEGER, _DECIMAL, _TEXT = r"-?\d+", r"-?\d+(?:[.,]\d+)?", r"[^/]+?"
_DATE, _TIME = r"\d{4}-\d\d-\d\d", r"\d\d-\d\d-\d\d"

_FILE = Token(lambda m: m.meta.plan_id or "", _TEXT)
_DATETIME = Token(lambda m: m.local.strftime("%Y-%m-%dT%H-%M-%S"), rf"{_DATE}T{_TIME}")
_TYPE = Token(lambda m: _EKOS_KINDS[m.meta.kind], "[A-Za-z]+", ("IMAGETYP",))
_SECS = Token(
    lambda m: e and f"{e}_secs" if (e := _ekos_exposure(m.meta.exposure_s)) else "",
    rf"{_DECIMAL}(?=_secs)_secs",
    ("EXPTIME",),
)
_SECONDS = Token(lambda m: _ekos_exposure(m.meta.exposure_s), _DECIMAL, ("EXPTIME",))
_FILTER = Token(_filter, _TEXT, ("FILTER",), optional=True)
_TARGET = Token(lambda m: m.meta.object_name or "", _TEXT, ("OBJECT",), optional=True)
_TEMPERATURE = Token(lambda m: _number(m.temp_c, 0), _INTEGER, ("CCD-TEMP",))
_BINNING = Token(_binning, r"\d+x\d+", ("XBINNING", "YBINNING"))
_GAIN = Token(lambda m: _plain(m.meta.gain), _INTEGER, ("GAIN",))
_OFFSET = Token(lambda m: _plain(m.meta.offset), _INTEGER, ("OFFSET",))
_ISO = Token(lambda m: _plain(m.meta.gain), _INTEGER, ("ISOSPEED",), optional=True)
_PIER_SIDE = Token(lambda _: "", "East|West|Unknown", optional=True)
_SEQUENCE = Token(lambda m: f"{m.number:0{m.width}}", r"\d+")

EKOS: dict[str, Token] = {
    **dict.fromkeys(("f", "filename"), _FILE),
    **dict.fromkeys(("D", "Datetime"), _DATETIME),
    **dict.fromkeys(("T", "Type"), _TYPE),
    **dict.fromkeys(("e", "exposure"), _SECS),
    **dict.fromkeys(("E", "exp"), _SECONDS),
    **dict.fromkeys(("F", "Filter"), _FILTER),
    **dict.fromkeys(("t", "target"), _TARGET),
    **dict.fromkeys(("C", "temperature"), _TEMPERATURE),
    **dict.fromkeys(("B", "bin"), _BINNING),
    **dict.fromkeys(("G", "gain"), _GAIN),
    **dict.fromkeys(("O", "offset"), _OFFSET),
    **dict.fromkeys(("I", "iso"), _ISO),
    **dict.fromkeys(("P", "pierside"), _PIER_SIDE),
    **dict.fromkeys(("s", "sequence"), _SEQUENCE),
}

_ANY = r"[^/]*?"
NINA: dict[str, Token] = {
    "TARGETNAME": Token(_TARGET.write, _ANY, ("OBJECT",)),
    "SEQUENCETITLE": Token(_FILE.write, _ANY),
    "IMAGETYPE": Token(lambda m: _TYPE.write(m).upper(), "[A-Za-z]+", ("IMAGETYP",)),
    "FILTER": Token(_filter, _ANY, ("FILTER",)),
    "EXPOSURETIME": Token(lambda m: _number(m.meta.exposure_s), _DECIMAL, ("EXPTIME",)),
    "SENSORTEMP": Token(lambda m: _number(m.meta.sensor_temp_c), _DECIMAL, ("CCD-TEMP",)),
    "TEMPERATURESETPOINT": Token(lambda m: _number(m.meta.set_temp_c), _DECIMAL, ("SET-TEMP",)),
    "GAIN": Token(_GAIN.write, _INTEGER, ("GAIN",)),
    "OFFSET": Token(_OFFSET.write, _INTEGER, ("OFFSET",)),
    "BINNING": _BINNING,
    "READOUTMODE": Token(lambda m: m.meta.read_mode or "", _ANY, ("READOUTM",)),
    "CAMERA": Token(lambda m: m.meta.camera, _ANY, ("INSTRUME",)),
    "TELESCOPE": Token(lambda m: m.meta.telescope or "", _ANY, ("TELESCOP",)),
    "ROTATORANGLE": Token(lambda m: _number(m.meta.rotator_deg), _DECIMAL, ("ROTATANG",)),
    "FRAMENR": Token(lambda m: f"{m.number:04}", r"\d+"),
    "DATE": Token(lambda m: f"{m.local:%Y-%m-%d}", _DATE),
    "TIME": Token(lambda m: f"{m.local:%H-%M-%S}", _TIME),
    "DATETIME": Token(lambda m: f"{m.local:%Y-%m-%d_%H-%M-%S}", rf"{_DATE}_{_TIME}"),
    "DATEUTC": Token(lambda m: f"{m.local.astimezone(UTC):%Y-%m-%d}", _DATE),
    "TIMEUTC": Token(lambda m: f"{m.local.astimezone(UTC):%H-%M-%S}", _TIME),
    "DATEMINUS12": Token(lambda m: night_of(m.local), _DATE),
}

_NAMES = "|".join(sorted(EKOS, key=len, reverse=True))
_TOKEN = re.compile(rf"%({_NAMES})(\d*)|\$\$([A-Z0-9_]+)\$\$")
_UNSAFE = re.compile(r"[^A-Za-z0-9.+/ _-]")
_SEPARATORS = "_-/"
_SUFFIX = re.compile(r"(\.(fits|fit|fts|xisf|tiff?|gz|fz))+$", re.IGNORECASE)


class Template:
    """A parsed template; folders are parted by ``/`` or, as N.I.N.A. has it, by a backslash.

    Raises ``ValueError`` for one that would leave the folder it is used in, and for a ``%`` that begins
    no token. Unknown N.I.N.A. tokens may stand in names that are read, not in those that are written.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip().replace("\\", "/").strip("/")
        parts = self.text.split("/")
        if not self.text or any(set(part.strip()) <= {"."} for part in parts):
            raise ValueError(f"{text!r} names no file below a folder")
        self._parts: list[tuple[str, str, int]] = []  # literal before, token's name, its width
        end = 0
        for match in _TOKEN.finditer(self.text):
            literal = self.text[end : match.start()]
            self._parts.append((literal, match[1] or match[3], int(match[2] or 0)))
            end = match.end()
        self._tail = self.text[end:]
        for literal in [part[0] for part in self._parts] + [self._tail]:
            if "%" in literal or "$$" in literal:
                raise ValueError(f"{text!r} has {literal!r}, which is no token of Ekos or N.I.N.A.")

    @property
    def has_sequence(self) -> bool:
        """Whether the frame's number is in it."""
        return any(name in {"s", "sequence", "FRAMENR"} for _, name, _ in self._parts)

    @property
    def unknown(self) -> list[str]:
        """Tokens that nothing is known of when a frame is stored."""
        return [name for _, name, _ in self._parts if name not in EKOS and name not in NINA]

    def expand(self, meta: FrameMeta, now: datetime, number: int = 1) -> list[str]:
        """The folders and the name (no suffix) of a frame: each is a safe name, and none leads upwards.

        An Ekos token without a value takes the separator after it along; a N.I.N.A. token leaves it there.
        """
        local = (meta.date_obs or now).astimezone()
        text, is_empty = "", False
        for literal, name, width in [*self._parts, (self._tail, "", 0)]:
            text += literal[1:] if is_empty and literal[:1] and literal[0] in _SEPARATORS else literal
            if name:
                token = EKOS.get(name) or NINA[name]
                value = token.write(Moment(meta, local, number, width))
                text += safe_name(value, fallback="")
                is_empty = not value and name in EKOS
        parts = [
            re.sub(r"\s+", "_", _UNSAFE.sub("_", part)).lstrip("._").rstrip("._-") for part in text.split("/")
        ]
        return [part for part in parts if part] or [safe_name(meta.kind)]

    def read(self, path: Path) -> dict[str, CardValue] | None:
        """The keywords that a file's name (and folders, if the template has some) tell, or ``None`` if it
        does not look like the template.

        What Ekos writes for "not known" (−1, 0x0, Unknown) gives nothing, nor do times: they are local to a
        place that the name does not tell.
        """
        name = _SUFFIX.sub("", path.as_posix())
        for lenient in (False, True):
            if match := re.search(self._pattern(lenient=lenient), name):
                return _values([part[1] for part in self._parts], match.groups())
        return None

    def _pattern(self, *, lenient: bool) -> str:
        pattern = r"(?:^|/)"
        literals = [*(part[0] for part in self._parts[1:]), self._tail]
        pattern += re.escape(self._parts[0][0]) if self._parts else ""
        for (_, name, _), after in zip(self._parts, literals, strict=True):
            token = EKOS.get(name) or NINA.get(name) or Token(lambda _: "", _ANY)
            body = f"({token.pattern})" if name in EKOS else f"({token.pattern})?"
            if lenient and token.optional and after[:1] and after[0] in _SEPARATORS:
                pattern += f"(?:{body}{re.escape(after[0])})?{re.escape(after[1:])}"
            else:
                pattern += body + re.escape(after)
        return pattern + ("" if self._parts else re.escape(self._tail)) + r"(?:_\d+)?$"


def _values(names: list[str], texts: tuple[str | None, ...]) -> dict[str, CardValue]:
    values: dict[str, CardValue] = {}
    for name, text in zip(names, texts, strict=True):
        token = EKOS.get(name) or NINA.get(name)
        if token is None or not token.keywords or not text or text in {"-1", "0x0", "Unknown"}:
            continue
        bits = text.removesuffix("_secs").split("x") if token is _BINNING else [text.removesuffix("_secs")]
        for keyword, bit in zip(token.keywords, bits, strict=True):
            numeric = token.pattern.startswith(r"-?\d") or token is _BINNING
            values[keyword] = _as_number(bit) if numeric else bit
    return values


def _as_number(text: str) -> int | float:
    value = float(text.replace(",", "."))
    return int(value) if value.is_integer() and "." not in text else value


def file_template(root: Path) -> Template | None:
    """The template of ``[files] template`` in the library's configuration.

    Raises :class:`LibraryError` for one that cannot be used.
    """
    text = config_section(root, "files").get("template")
    if text is None:
        return None
    if not isinstance(text, str):
        raise config_error(root, "files.template", f"is {text!r}, not a text")
    return writing_template(text, lambda what: config_error(root, "files.template", what))


def writing_template(text: str, error: Callable[[str], LibraryError]) -> Template:
    """A template to write names with; raises what ``error`` makes of the reason why it is none."""
    try:
        template = Template(text)
    except ValueError as reason:
        raise error(str(reason)) from reason
    if template.unknown:
        raise error(f"{text!r} has {', '.join(template.unknown)}, which the library does not know of a frame")
    return template
