"""Frozen dataclasses as plain JSON and back, exact to the last bit: arrays are lists, NaN is null."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def plain(value: Any) -> Any:
    """What ``json.dumps`` takes; floats keep all their digits."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def whole(cls: type[T], data: Any) -> T:
    """Inverse of :func:`plain`, guided by the fields' types; fields that are not known are passed over.

    Raises ValueError, TypeError or KeyError for what ``cls`` cannot be made of.
    """
    if not isinstance(data, dict):
        raise TypeError(f"{cls.__name__} is an object, not {type(data).__name__}")
    return cls(
        **{
            name: _value(hint, data[name])
            for name, hint in _hints(typing.cast(type, cls)).items()
            if name in data
        }
    )


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _value(hint: Any, data: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        return None if data is None else _value(_fitting(arguments, data), data)
    if origin is np.ndarray:
        return np.array(data, typing.get_args(arguments[1])[0])  # of None numpy makes NaN
    if origin is tuple:
        each = arguments[:1] * len(data) if arguments[-1] is Ellipsis else arguments
        return tuple(_value(kind, item) for kind, item in zip(each, data, strict=True))
    if hint is float:
        return math.nan if data is None else float(data)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(data)
    return whole(hint, data) if dataclasses.is_dataclass(hint) and isinstance(hint, type) else data


def _fitting(kinds: tuple[Any, ...], data: Any) -> Any:
    """Of the kinds of a union the only one but None, or that whose fields are most like an object's."""
    others = [kind for kind in kinds if kind is not types.NoneType]
    if len(others) == 1 or not isinstance(data, dict):
        return others[0]
    return max(others, key=lambda kind: len(data.keys() & _hints(kind)) - len(_hints(kind)))
