"""Numbers as headers have them: plain, with a decimal comma, as a fraction, with a unit; or no number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from library.cards import CardValue

_DIGITS = r"(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eEdD][+-]?\d+)?"
_NUMBER = re.compile(rf"([+-]?)\s*({_DIGITS})(?:\s*/\s*({_DIGITS}))?\s*(\D*)", re.DOTALL)
_GROUPED = re.compile(r"([+-]?)\s*(\d{1,3}(?:,\d{3})+\.\d*|\d{1,3}(?:\.\d{3})+,\d*)(\D*)")
_SEXAGESIMAL = re.compile(r"([+-]?)(\d+)[:\s]+(\d{1,2})[:\s]+(\d{1,2}(?:[.,]\d*)?)")
_NO_LETTERS = str.maketrans("", "", " \t\0[]().°ºÂ'\"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What a number measures: how much one of each unit is (in ours), and which unit starts elsewhere.

    A unit that is not among them is not guessed at: the number is then no number.
    """

    units: Mapping[str, float]
    zero: Mapping[str, float] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    sexagesimal: float | None = None
    """What the first of three sexagesimal parts is worth; ``None``: such a text is no number."""


_NONE = {"": 1.0}
COUNT = Quantity(
    units=_NONE | dict.fromkeys(("x", "frame", "frames", "sub", "subs", "px", "pixel", "pixels"), 1.0)
)
SECONDS = Quantity(
    units=_NONE
    | dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0)
    | dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3)
    | dict.fromkeys(("us", "µs", "usec", "microsecond", "microseconds"), 1e-6)
    | dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0)
    | dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    sexagesimal=3600.0,
)
CELSIUS = Quantity(
    units=_NONE
    | dict.fromkeys(("c", "degc", "deg", "degree", "degrees", "degreesc", "celsius", "degcelsius"), 1.0)
    | dict.fromkeys(("k", "kelvin", "degk"), 1.0)
    | dict.fromkeys(("f", "degf", "fahrenheit"), 5 / 9),
    zero=dict.fromkeys(("k", "kelvin", "degk"), -273.15)
    | dict.fromkeys(("f", "degf", "fahrenheit"), -32 * 5 / 9),
)
GAIN = Quantity(units=_NONE | dict.fromkeys(("db", "%", "x", "iso"), 1.0), prefixes=("iso", "gain"))
LEVEL = Quantity(units=_NONE | dict.fromkeys(("adu", "dn", "count", "counts"), 1.0))
ELECTRONS_PER_ADU = Quantity(
    units=_NONE
    | dict.fromkeys(
        (*(f"{e}/{adu}" for e in ("e", "e-", "electron", "electrons") for adu in ("adu", "dn")), "e", "e-"),
        1.0,
    )
)
MILLIMETRES = Quantity(
    units=_NONE
    | dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0)
    | {"cm": 10.0, "m": 1000.0, "in": 25.4, "inch": 25.4, "inches": 25.4}
)
MICROMETRES = Quantity(
    units=_NONE
    | dict.fromkeys(("um", "µm", "micron", "microns", "micrometer", "micrometers", "micrometre"), 1.0)
    | {"mm": 1000.0}
)
DEGREES = Quantity(
    units=_NONE | dict.fromkeys(("d", "deg", "degs", "degree", "degrees"), 1.0), sexagesimal=1.0
)


def number(value: CardValue, quantity: Quantity = COUNT) -> float | None:
    """A card's value as a number in the quantity's own unit; ``None`` for what is none, or not finite.

    Text is understood with a decimal comma (``0,5``), as a fraction (``1/60``) and with a unit behind
    (``60 s``, ``500 ms``, ``-10,5 °C``, ``263 K``). ``1,000`` is one: three decimals behind a comma.
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        found = _of_text(value.strip(), quantity) if isinstance(value, str) else float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return found if found is not None and found - found == 0 else None


def _of_text(text: str, quantity: Quantity) -> float | None:
    lower = text.lower()
    for prefix in quantity.prefixes:
        lower = lower.removeprefix(prefix).lstrip(" =:")
    if quantity.sexagesimal is not None and (match := _SEXAGESIMAL.fullmatch(lower)):
        first, minutes, seconds = (_plain(part) for part in match.groups()[1:])
        size = quantity.sexagesimal * (first + minutes / 60 + seconds / 3600)
        return -size if match[1] == "-" else size
    if match := _GROUPED.fullmatch(lower):
        digits, divisor, unit = match[2], None, match[3]
        digits = digits.replace(",", "") if digits.rfind(".") > digits.rfind(",") else digits.replace(".", "")
    elif match := _NUMBER.fullmatch(lower):
        digits, divisor, unit = match[2], match[3], match[4]
    else:
        return None
    unit = unit.replace("μ", "µ").translate(_NO_LETTERS)
    factor, over = quantity.units.get(unit), 1.0 if divisor is None else _plain(divisor)
    if factor is None or over == 0:
        return None
    size = _plain(digits) / over
    return (-size if match[1] == "-" else size) * factor + quantity.zero.get(unit, 0.0)


def _plain(digits: str) -> float:
    return float(digits.replace(",", ".").replace("d", "e").replace("D", "E"))
