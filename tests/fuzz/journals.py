"""A journal with one event of each kind."""

from __future__ import annotations

import dataclasses
import types
import typing
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from firstlight.events import Event, Stamped, encode

_SIMPLE: dict[Any, Any] = {str: "L", int: 3, float: 2.5, bool: True}


def lines() -> bytes:
    """A line for each kind of event that there is."""
    when = datetime(2026, 3, 1, 22, 15, tzinfo=UTC)
    events = [_value(cls) for cls in typing.get_args(Event)]
    return "".join(f"{encode(Stamped(time=when, run='r', event=event))}\n" for event in events).encode()


def _value(hint: Any) -> Any:
    cls: Any = hint
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        return _value(arguments[0])
    if origin is typing.Literal:
        return arguments[0]
    if origin is tuple:
        return (_value(arguments[0]),)
    if origin is not None:
        return {}
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return cls(**{field.name: _value(hints[field.name]) for field in dataclasses.fields(hint)})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint))
    return _SIMPLE[hint]
