"""FITS headers as bytes: 80-character cards in 2880-byte blocks, read tolerantly and written strictly."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import BinaryIO

CARD = 80
BLOCK = 2880
_FARTHEST = 2**62
"""No file reaches so far, and none can be asked to."""

MAX_BLOCKS = 2000
"""A header of more than 72,000 cards is no header."""

CardValue = str | int | float | bool | None
Card = tuple[str, CardValue, str]
"""Keyword, value, comment; HISTORY and COMMENT carry their text as the value."""

_COMMENTARY = {"HISTORY", "COMMENT", ""}
_STALE = {"CHECKSUM"}
"""Changing a header makes its checksum a lie; DATASUM stays true."""

_STRING = re.compile(r"\s*'((?:[^']|'')*)'?\s*(?:/(.*))?", re.DOTALL)
_FRACTION = re.compile(r"\s*([+-]?\d+/\d+)\s*(?:/(.*))?", re.DOTALL)
"""No value and its comment: 1/60 of something."""

_INTEGER = re.compile(r"[+-]?\d+")


_OWN = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|NEXTEND|BLOCKED|PCOUNT|GCOUNT|GROUPS|INHERIT|EXT(NAME|VER|LEVEL)"
    r"|BSCALE|BZERO|BLANK|BUNIT|DATAM(IN|AX)|CHECKSUM|DATASUM|Z[A-Z]+\d*|T(TYPE|FORM|SCAL|ZERO|NULL)\d+|TFIELDS"
    r"|(BIAS|TRIM|DATA)SEC|(CRPIX|CRVAL|CDELT|CROTA|CTYPE|CUNIT)\d|(CD|PC)\d_\d"
)
"""Keywords that speak of the header's own data alone."""


class HeaderError(ValueError):
    """Bytes that are no FITS header; the caller knows the file's name."""


@dataclass(frozen=True, slots=True)
class HeaderUnit:
    """One header of a file: its raw cards (END and what follows left out) and where it lies."""

    start: int
    data_start: int
    raw_cards: tuple[bytes, ...]
    values: Mapping[str, CardValue]
    inherited: Mapping[str, CardValue] = field(default_factory=dict)
    """What of the values stands in the primary header alone, and holds for this extension (INHERIT)."""

    @property
    def data_size(self) -> int:
        """Bytes of the data unit without its padding (FITS 4.0, equation 2)."""
        axes = [self.integer(f"NAXIS{i + 1}") for i in range(self.integer("NAXIS"))]
        if not axes:
            return 0
        if axes[0] == 0 and self.values.get("GROUPS") is True:
            axes = axes[1:]
        count = 1
        for axis in axes:
            count *= axis
        groups = self.integer("GCOUNT", 1)
        return abs(self.integer("BITPIX")) // 8 * groups * (self.integer("PCOUNT", 0) + count)

    @property
    def is_compressed_image(self) -> bool:
        """A tile-compressed image, stored as a binary table."""
        return self.values.get("ZIMAGE") is True

    @property
    def is_image(self) -> bool:
        """Whether pixels can be had from this unit."""
        if self.is_compressed_image:
            return True
        if "XTENSION" in self.values and self.values["XTENSION"] != "IMAGE":
            return False
        naxis = self.integer("NAXIS")
        return naxis >= 2 and self.integer("NAXIS1") > 0 and self.data_size > 0  # 0: random groups

    def inheriting(self, primary: HeaderUnit) -> HeaderUnit:
        """This extension with the keywords of the primary header that it does not have itself.

        So it is with INHERIT = T (FITS 4.0, 4.4.2.6), and where the primary header has no data of its own
        to describe, unless INHERIT = F. Structure, scaling, names and checksums are never inherited.
        """
        inherit = self.values.get("INHERIT")
        if primary.start == self.start or not (
            inherit is True or (inherit is None and not primary.data_size)
        ):
            return self
        inherited = {
            key: value
            for key, value in primary.values.items()
            if key not in self.values and not _OWN.fullmatch(key)
        }
        return replace(self, values=inherited | dict(self.values), inherited=inherited)

    def integer(self, keyword: str, default: int | None = None) -> int:
        """A structural keyword's value; raises :class:`HeaderError` where it is missing or unfit."""
        value = self.values.get(keyword, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        may_be_negative = keyword in {"BITPIX", "ZBITPIX"}
        if not isinstance(value, int) or isinstance(value, bool) or (value < 0 and not may_be_negative):
            raise HeaderError(f"{keyword} is {value!r}")
        return value


def walk(stream: BinaryIO) -> Iterator[HeaderUnit]:
    """Yield the headers of a seekable stream one after another; data units are skipped, not read.

    After a unit is yielded the stream stands at its data. Raises :class:`HeaderError` if the first is no
    header; later rubbish ends the walk, as readers must expect special records there.
    """
    start = 0
    while True:
        stream.seek(start)
        try:
            unit = _read_unit(stream, start)
        except HeaderError:
            if start == 0:
                raise
            return
        if unit is None:
            return
        yield unit
        start = unit.data_start + padded(unit.data_size)
        if start > _FARTHEST:
            return


def padded(size: int) -> int:
    """The size rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def parse_cards(raw_cards: Iterable[bytes]) -> dict[str, CardValue]:
    """Values by keyword; the first of duplicates counts, as in CFITSIO. Long strings are joined."""
    values: dict[str, CardValue] = {}
    joining: str | None = None
    for raw in raw_cards:
        keyword, value, _ = parse_card(raw)
        if keyword == "CONTINUE" and joining is not None and isinstance(value, str):
            values[joining] = str(values[joining])[:-1] + value
            joining = joining if value.endswith("&") else None
            continue
        joining = None
        if keyword in _COMMENTARY or keyword in values:
            continue
        values[keyword] = value
        if isinstance(value, str) and value.endswith("&"):
            joining = keyword
    return values


def parse_card(raw: bytes) -> Card:
    """One card, however untidy: nulls are blanks, free format, HIERARCH names without the prefix."""
    text = raw.replace(b"\0", b" ").decode("latin-1")
    keyword = text[:8].strip().upper()
    if keyword == "HIERARCH" and "=" in text:
        name, _, field = text[8:].partition("=")
        return (name.strip().upper(), *_parse_value(field))
    if keyword == "CONTINUE":
        return (keyword, *_parse_value(text[8:]))
    if keyword in _COMMENTARY or text[8:9] != "=":
        return keyword, text[8:].rstrip(), ""
    return (keyword, *_parse_value(text[9:]))


def format_card(keyword: str, value: CardValue, comment: str = "") -> bytes:
    """One strict card in fixed format; text is made legal ASCII and cut to what a card holds.

    Raises ``ValueError`` for a keyword FITS does not allow and for numbers that are not finite.
    """
    if not re.fullmatch(r"[A-Z0-9_-]{1,8}", keyword):
        raise ValueError(f"{keyword!r} is no FITS keyword")
    if keyword in _COMMENTARY:
        return f"{keyword:8}{to_ascii(str(value))}"[:CARD].ljust(CARD).encode("ascii")
    card = f"{keyword:8}= {_format_value(value)}"
    if comment and len(card) + 3 < CARD:
        card = f"{card} / {to_ascii(comment)}"
    return card[:CARD].ljust(CARD).encode("ascii")


def format_header(raw_cards: Iterable[bytes]) -> bytes:
    """Cards, END and blank padding up to whole blocks."""
    header = b"".join([*raw_cards, b"END".ljust(CARD)])
    return header.ljust(padded(len(header)))


def replace_cards(raw_cards: Iterable[bytes], cards: Iterable[Card]) -> Iterator[bytes]:
    """The raw cards with the new ones in their places, or else at the end.

    Repeated and continued old ones are dropped. HISTORY and COMMENT never replace one another.
    """
    cards = list(cards)
    new = {card[0]: format_card(*card) for card in cards if card[0] not in _COMMENTARY}
    waiting = dict(new)
    replaced = False
    for raw in raw_cards:
        keyword = parse_card(raw)[0]
        if keyword == "CONTINUE" and replaced:
            continue
        replaced = keyword in new
        if keyword in waiting:
            yield waiting.pop(keyword)
        elif not replaced and keyword not in _STALE and raw.strip(b" \0"):
            yield raw
    yield from waiting.values()
    yield from (format_card(*card) for card in cards if card[0] in _COMMENTARY)


def with_cards(unit: HeaderUnit, cards: Iterable[Card]) -> HeaderUnit:
    """The header unit with these cards in it (see :func:`replace_cards`); where its data lies stays."""
    raw_cards = tuple(replace_cards(unit.raw_cards, cards))
    return replace(unit, raw_cards=raw_cards, values=dict(unit.inherited) | parse_cards(raw_cards))


def to_ascii(text: str) -> str:
    """Printable ASCII: accents are dropped, other characters become ``?``."""
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return re.sub(r"[^\x20-\x7e]", "?", plain)


def _read_unit(stream: BinaryIO, start: int) -> HeaderUnit | None:
    raw_cards: list[bytes] = []
    for number in range(MAX_BLOCKS):
        block = stream.read(BLOCK)
        if not block and number == 0 and start > 0:
            return None
        first = b"SIMPLE  " if start == 0 else b"XTENSION"
        if number == 0 and not block.startswith(first):
            raise HeaderError("it does not begin as FITS does")
        for at in range(0, len(block) - CARD + 1, CARD):
            card = block[at : at + CARD]
            if card[:8].replace(b"\0", b" ") == b"END     ":
                return HeaderUnit(
                    start, start + (number + 1) * BLOCK, tuple(raw_cards), parse_cards(raw_cards)
                )
            raw_cards.append(card)
        if len(block) < BLOCK:
            break
    raise HeaderError("its header has no END")


def _parse_value(field: str) -> tuple[CardValue, str]:
    if field.lstrip().startswith("'") and (match := _STRING.match(field)):
        return match[1].replace("''", "'").rstrip(), (match[2] or "").strip()
    if match := _FRACTION.fullmatch(field):
        return match[1], (match[2] or "").strip()
    token, _, comment = field.partition("/")
    return _parse_number(token.strip()), comment.strip()


def _parse_number(text: str) -> CardValue:
    if text in {"T", "F"}:
        return text == "T"
    if not text:
        return None
    try:
        return int(text) if _INTEGER.fullmatch(text) else float(text.upper().replace("D", "E"))
    except ValueError:
        return text


def _format_value(value: CardValue) -> str:
    if value is None:
        return " " * 20
    if isinstance(value, bool):
        return f"{'T' if value else 'F':>20}"
    if isinstance(value, int):
        return f"{value:>20}"
    if isinstance(value, float):
        return f"{_format_float(value):>20}"
    text = to_ascii(value).rstrip()
    while len(quoted := text.replace("'", "''")) > CARD - 12:
        text = text[:-1]
    return f"'{quoted:8}'".ljust(20)


def _format_float(value: float) -> str:
    if value - value != 0:
        raise ValueError(f"{value} cannot be written to FITS")
    mantissa, exponent, power = repr(value).upper().partition("E")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{exponent}{power}"
