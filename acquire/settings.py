"""Settings that check themselves: a field knows what is allowed and says so."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable
from typing import Any

from acquire.errors import PlanError

Check = Callable[[Any], Any]
"""Gives the canonical value, or raises ``ValueError`` with what is allowed."""


def setting(check: Check, default: Any = dataclasses.MISSING, *, key: str | None = None) -> Any:
    """Declare a dataclass field with its check; ``key`` is its name in a file where that differs."""
    return dataclasses.field(default=default, metadata={"check": check, "key": key})


def key_of(field: dataclasses.Field[Any]) -> str:
    """Name of a field in a file."""
    return field.metadata.get("key") or field.name


def apart_from_file(default: Any) -> Any:
    """Declare a dataclass field that no file has."""
    return dataclasses.field(default=default, metadata={"in_file": False})


def fields_in_file(checked: Any) -> list[dataclasses.Field[Any]]:
    """The fields that a file may have, of a dataclass or of a value of one."""
    return [each for each in dataclasses.fields(checked) if each.metadata.get("in_file", True)]


class Checked:
    """Base of frozen dataclasses whose fields check themselves when one is built."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            check: Check | None = field.metadata.get("check")
            if check is None:
                continue
            value = getattr(self, field.name)
            try:
                object.__setattr__(self, field.name, check(value))
            except ValueError as error:
                raise PlanError(f"{key_of(field)}: must be {error}, not {value!r}") from None
        self.check()

    def check(self) -> None:
        """Check what more than one field has a say in; raises :class:`PlanError`."""

    def to_dict(self) -> dict[str, Any]:
        """Values by their keys in a file; what is ``None`` is left out, as TOML has no word for it."""
        values = {key_of(field): getattr(self, field.name) for field in fields_in_file(self)}
        return {
            key: value.to_dict() if isinstance(value, Checked) else value
            for key, value in values.items()
            if value is not None
        }


def text() -> Check:
    """Any text with something in it."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise ValueError("text on one line")
        return value.strip()

    return check


def number(*, at_least: float, at_most: float = math.inf) -> Check:
    """A finite number within limits."""
    limits = f"at least {at_least:g}" if at_most == math.inf else f"from {at_least:g} to {at_most:g}"

    def check(value: Any) -> float:
        wrong = isinstance(value, bool) or not isinstance(value, int | float)
        if wrong or not at_least <= value <= min(at_most, sys.float_info.max):  # a whole number has no end
            raise ValueError(f"a number {limits}")
        return float(value)

    return check


def whole(at_least: int, at_most: int) -> Check:
    """A whole number within limits."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= at_most:
            raise ValueError(f"a whole number from {at_least} to {at_most}")
        return value

    return check


def one_of(*words: str) -> Check:
    """One of a few words."""

    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(" or ".join(f'"{word}"' for word in words))
        return str(value)

    return check


def parsed(parse: Callable[[object], float], allowed: str) -> Check:
    """Whatever ``parse`` takes."""

    def check(value: Any) -> float:
        try:
            return parse(value)
        except ValueError as error:
            raise ValueError(f"{allowed} ({error})") from None

    return check


def optional(check: Check) -> Check:
    """The same, or nothing at all."""
    return lambda value: None if value is None else check(value)
