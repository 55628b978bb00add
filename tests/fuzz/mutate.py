"""Damage to valid inputs: of bytes, of FITS cards, of words in a text. The same seed does the same."""

from __future__ import annotations

import re

import numpy as np

CARD = 80
_NUMBERS = (
    "0", "-1", "1", "2", "3", "7", "17", "255", "65536", "2147483647", "-2147483648", "4294967296",
    "9223372036854775807", "99999999999999999999999", "1E300", "-1E300", "1E-300", "NaN", "INF", "1.5",
    "T", "F", "'x'", "''", "'", "", "1/0", "0x10", "1_000", "-0",
)  # fmt: skip
_WHOLE = (0, 1, 2, 3, 7, 8, 16, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, -1, -8)
_WORDS = (
    *_NUMBERS, "true", "null", "[]", "{}", "[[]]", '""', '"\\u0000"', '"\\ud800"', '"x"', "nan", "-inf",
    "1e999", "9" * 400, "9" * 5000, "[" * 3000, '{"a":' * 3000, '"' + "x" * 20_000 + '"', "2026-13-41",
    "1979-05-27T07:32:00Z",
    "\x1b]0;x\x07", "\n", "=", "'''", "../../x", "%s", "{0}",
)  # fmt: skip
_WORD = re.compile(r'"[^"\n]*"|[\w.+-]+|[\[\]{}=,:]')
_VALUE = re.compile(rb'"[^"]*"|(?<=>)[^<]+(?=<)|[\w.+-]+|[<>/="]')


def mutated(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """One to four faults in an input that was valid; ``kind`` is ``fits``, ``text``, ``xml``, ``numbers`` or
    ``bytes``.
    """
    for _ in range(int(rng.integers(1, 5))):
        if kind == "fits" and rng.random() < 0.75:
            data = _card(data, rng)
        elif kind == "text" and rng.random() < 0.75:
            data = _word(data, rng)
        elif kind == "xml" and rng.random() < 0.75:
            data = _value(data, rng)
        elif kind == "numbers" and rng.random() < 0.75:
            data = _number(data, rng)
        else:
            data = _bytes(data, rng)
    return data


def _number(data: bytes, rng: np.random.Generator) -> bytes:
    """Another number of one to eight bytes, most often where a file's tables lie: at its begin or end."""
    size = int(rng.choice([1, 2, 2, 4, 4, 8]))
    last = max(len(data) - size, 0)
    ends = (int(rng.integers(min(last, 400) + 1)), last - int(rng.integers(min(last, 400) + 1)))
    at = int(rng.integers(last + 1)) if rng.random() < 0.2 else int(rng.choice(ends))
    value = int(rng.choice(np.array(_WHOLE, object))) if rng.random() < 0.7 else int(rng.integers(256))
    new: bytes = (value % 256**size).to_bytes(size, "little" if rng.random() < 0.5 else "big")
    return data[:at] + new + data[at + size :]


def _bytes(data: bytes, rng: np.random.Generator) -> bytes:
    if not data:
        return bytes(rng.integers(0, 256, 8, np.uint8))
    found = bytearray(data)
    at = int(rng.integers(len(found)))
    end = min(len(found), at + int(2 ** rng.uniform(0, 12)))
    choice = int(rng.integers(6))
    if choice == 0:
        for place in rng.integers(len(found), size=int(rng.integers(1, 20))):
            found[int(place)] ^= 1 << int(rng.integers(8))
    elif choice == 1:
        del found[at:]
    elif choice == 2:
        del found[at:end]
    elif choice == 3:
        found[at:end] = bytes(rng.integers(0, 256, end - at, np.uint8))
    elif choice == 4:
        found[at:at] = found[at:end]
    else:
        found[at:end] = bytes([int(rng.choice([0, 255]))]) * (end - at)
    return bytes(found)


def _card(data: bytes, rng: np.random.Generator) -> bytes:
    """Another value for a card that has one, most often of a size; or a card gone, doubled or torn."""
    cards = [at for at in range(0, min(len(data), 40 * 2880), CARD) if data[at + 8 : at + 9] == b"="]
    if not cards:
        return _bytes(data, rng)
    sizes = [at for at in cards if re.match(rb"Z?NAXIS|Z?BITPIX|PCOUNT|GCOUNT|ZTILE|TFORM|THEAP", data[at:])]
    at = int(rng.choice(sizes if sizes and rng.random() < 0.6 else cards))
    keyword, choice = data[at : at + 8], int(rng.integers(8))
    if choice == 0:
        return data[:at] + data[at + CARD :] + b" " * CARD
    if choice == 1:
        other = int(rng.choice(cards))
        return data[:at] + data[other : other + CARD] + data[at + CARD :]
    if choice == 2:
        card = keyword + bytes(rng.integers(0, 256, CARD - 8, np.uint8))
    else:
        card = keyword + b"= " + str(rng.choice(_NUMBERS)).rjust(20).encode()
    return data[:at] + card.ljust(CARD)[:CARD] + data[at + CARD :]


def _word(data: bytes, rng: np.random.Generator) -> bytes:
    text = data.decode("latin-1")
    words = list(_WORD.finditer(text))
    if not words:
        return _bytes(data, rng)
    one, other = (words[int(rng.integers(len(words)))] for _ in range(2))
    new = str(rng.choice(np.array(_WORDS, object))) if rng.random() < 0.7 else other[0]
    return (text[: one.start()] + new + text[one.end() :]).encode("latin-1")


def _value(data: bytes, rng: np.random.Generator) -> bytes:
    values = list(_VALUE.finditer(data))
    if not values:
        return _bytes(data, rng)
    one = values[int(rng.integers(len(values)))]
    new = str(rng.choice(np.array(_WORDS, object))).encode("latin-1", "replace")
    if one[0].startswith(b'"') and rng.random() < 0.8:
        new = b'"' + new.replace(b'"', b"") + b'"'
    return data[: one.start()] + new + data[one.end() :]
