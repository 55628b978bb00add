"""The filter that a header names, in whichever card the program that wrote it has for it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from library.cards import CardValue

KEYWORDS = (
    "FILTER", "FILT", "FILTNAM", "FILTNAME", "FILTERNAME", "FILTERID", "INSFLNAM", "FLTRNAME", "FWNAME",
)  # fmt: skip
"""Best first. CCD programs write FILTER, Calar Alto INSFLNAM, others FILTNAM and the like."""

_WHEEL = re.compile(r"FILT-?(\d{1,2})|FILTER0?(\d)|FILTNAM(\d)|(?:ESO )?INS FILT(\d+) NAME")
"""One card for each wheel: FILT-1 (Astro Pixel Processor), FILTER1 and FILTER2, ESO's HIERARCH cards."""

_NOTHING = {
    "",
    "none",
    "empty",
    "unknown",
    "undefined",
    "undef",
    "n/a",
    "na",
    "null",
    "no filter",
    "nofilter",
    "-",
}
_OPEN = _NOTHING | {"open", "clear", "free", "air", "hole", "out", "blank"}


def filter_name(header: Mapping[str, CardValue]) -> str | None:
    """The filter's name; ``None`` if none is named.

    A name comes before the bare number of a slot. Of several wheels those count that hold something: an open
    place beside a filter is left out, two filters are joined by ``+``.
    """
    named = [text for keyword in KEYWORDS if (text := _text(header.get(keyword)))]
    if named and not _is_slot(named[0]) and named[0].lower() not in _NOTHING:
        return named[0]
    wheels = _wheels(header)
    closed = [text for text in wheels if text.lower() not in _OPEN]
    for candidates in (
        [text for text in named if not _is_slot(text) and text.lower() not in _NOTHING],
        ["+".join(closed)] if closed else [],
        wheels,
        named,
    ):
        if candidates:
            return candidates[0]
    return None


def _wheels(header: Mapping[str, CardValue]) -> list[str]:
    """What each wheel holds, in the order of their numbers; the same name twice is one filter."""
    found = []
    for keyword, value in header.items():
        if (match := _WHEEL.fullmatch(keyword)) and (text := _text(value)):
            found.append((int(next(group for group in match.groups() if group)), text))
    return list(dict.fromkeys(text for _, text in sorted(found)))


def _text(value: CardValue) -> str:
    return "" if value is None or isinstance(value, bool) else str(value).strip()


def _is_slot(text: str) -> bool:
    return re.fullmatch(r"\d+(\.0*)?", text) is not None
