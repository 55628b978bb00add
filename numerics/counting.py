"""Counts in words, for every line that a person reads: ``1 sub``, ``2 subs``."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """``1 sub``, ``0 subs``, ``3 biases``."""
    return f"{count} {noun if count == 1 else noun + ('es' if noun.endswith('s') else 's')}"


def counted_are(count: int, noun: str) -> str:
    """``1 sub is``, ``2 subs are``."""
    return f"{counted(count, noun)} {'is' if count == 1 else 'are'}"
