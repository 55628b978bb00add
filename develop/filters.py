"""What a filter lets through, told from the name that its owner gave it."""

from __future__ import annotations

import re

_LINES = {
    "Ha": re.compile(r"(?<![a-z])h[\s_.-]*(?:a|alpha|α)(?![a-z])|hydrogen[\s_-]*(?:a|alpha|α)(?![a-z])"),
    "OIII": re.compile(r"(?<![a-z])o[\s_.-]*(?:iii(?![a-z])|3(?!\d))|oxygen"),
    "SII": re.compile(r"(?<![a-z])s[\s_.-]*(?:ii(?![a-z])|2(?!\d))|sul(?:f|ph)ur"),
}
_DUAL = re.compile(
    r"\b(?:dual|duo)|\bl[\s_-]*(?:extreme|enhance|ultimate|para)|\balp[\s_-]*t\b|\bnbz\b|\bh[\s_+]*o\b"
    r"|(?<![a-z])h(?:a|alpha|α)[\s_+&/-]*o(?:iii|3)"
)
_WORDS = {
    "L": {"l", "lum", "luminance", "clear", "lumen", "ircut", "uvir", "uvircut"},
    "R": {"r", "red", "rot"},
    "G": {"g", "green", "gruen", "grün"},
    "B": {"b", "blue", "blau"},
}


def role(name: str | None) -> str | None:
    """Tell L, R, G, B, Ha, OIII, SII or HO (Ha and OIII at once) from a name, or None.

    "Red", "L-Pro 2", "Baader f/2 Highspeed O-III", "H-alpha 7nm", "Optolong L-eXtreme"…
    """
    text = (name or "").lower()
    lines = [line for line, pattern in _LINES.items() if pattern.search(text)]
    if _DUAL.search(text) or {"Ha", "OIII"} <= set(lines):
        return "HO"
    if lines:
        return lines[0]
    words = re.findall(r"[^\W\d_]+", text)
    for part, names in _WORDS.items():
        if any(word in names for word in words):
            return part
    return None
