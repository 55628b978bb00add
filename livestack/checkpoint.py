"""A filter's planes on disk, whole or not at all: what is torn or rotten is told from what is good.

A first line with the checksum of the second, that one JSON, then the planes' bytes as they lie in memory.
They are written and read in place: a process that has the memory for one stack needs no second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from library.writing import replace_durably
from livestack.errors import CheckpointError
from livestack.plain import plain, whole
from livestack.planes import Planes
from livestack.stack import FilterStack

_MAGIC = "firstlight planes 2"
_EARLIER = "firstlight planes "
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The subs whose pixels are in a filter's planes, in the order in which they were stacked."""

    frame_ids: tuple[str, ...] = ()
    noises_adu: tuple[float, ...] = ()
    exposures_s: tuple[float | None, ...] = ()
    widths_px: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Array:
    name: str
    dtype: str
    shape: tuple[int, ...]
    crc32: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    held: Held
    arrays: tuple[_Array, ...]


def size_bytes(stack: FilterStack) -> int:
    """How much a checkpoint of it takes on disk, but for its header."""
    return sum(array.nbytes for array in _arrays(stack.planes).values())


def write_checkpoint(path: Path, stack: FilterStack, frame_ids: tuple[str, ...]) -> None:
    """Make a stack of these subs durable in place of the file's last one; that stays if this fails.

    Raises :class:`library.errors.DiskFullError` or OSError.
    """
    arrays = _arrays(stack.planes)
    header = _Header(
        held=Held(
            frame_ids=frame_ids,
            noises_adu=tuple(stack.noises_adu),
            exposures_s=tuple(stack.exposures_s),
            widths_px=tuple(stack.widths_px),
        ),
        arrays=tuple(
            _Array(name=name, dtype=array.dtype.str, shape=array.shape, crc32=crc32(_bytes(array)))
            for name, array in arrays.items()
        ),
    )
    text = json.dumps(plain(header), allow_nan=False).encode()
    first = f"{_MAGIC} {crc32(text):08x}\n".encode()
    replace_durably(path, [first, text, b"\n", *map(_bytes, arrays.values())])


def held_in(path: Path) -> Held:
    """The subs of a checkpoint, without reading its planes; none if there is no such file.

    Raises :class:`CheckpointError`.
    """
    try:
        with path.open("rb") as file:
            return _header(file, path).held
    except FileNotFoundError:
        return Held()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_checkpoint(path: Path, stack: FilterStack) -> Held:
    """Make a stack what it was when the checkpoint was written.

    Raises :class:`CheckpointError` for a file that is not what was written; the stack is empty then.
    """
    try:
        with path.open("rb") as file:
            header = _header(file, path)
            arrays = _filled(stack.planes, header, file, path)
            stack.planes.restore({**arrays, "subs": len(header.held.frame_ids)})
    except (CheckpointError, OSError) as error:
        stack.clear()
        raise CheckpointError(str(error)) from error
    held = header.held
    stack.noises_adu[:], stack.exposures_s[:] = held.noises_adu, held.exposures_s
    stack.widths_px[:] = held.widths_px
    return held


def _header(file: BufferedReader, path: Path) -> _Header:
    first = file.readline(len(_MAGIC) + 16).decode("ascii", "replace").rstrip("\n")
    text = file.readline(_LONGEST_HEADER).rstrip(b"\n")
    if first.startswith(_EARLIER) and not first.startswith(_MAGIC):
        raise CheckpointError(f"{path}: is of another version; its subs are stacked again")
    if first != f"{_MAGIC} {crc32(text):08x}":
        raise CheckpointError(f"{path}: is no checkpoint of this version, or it is damaged")
    try:
        return whole(_Header, json.loads(text))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path}: is no checkpoint of this version") from error


def _filled(planes: Planes, header: _Header, file: BufferedReader, path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of the file: the planes' own, and new ones for those that hold as much as there is."""
    arrays = _arrays(planes)
    told = {each.name: (np.dtype(each.dtype), each.shape) for each in header.arrays}
    if _kinds(told) != _kinds({name: (array.dtype, array.shape) for name, array in arrays.items()}):
        raise CheckpointError(f"{path}: is of another kind of stack than this one")
    for each in header.arrays:
        if arrays[each.name].shape != each.shape:
            arrays[each.name] = np.empty(each.shape, each.dtype)
        target = _bytes(arrays[each.name])
        if file.readinto(target) != len(target) or crc32(target) != each.crc32:
            raise CheckpointError(f"{path}: its {each.name} is damaged")
    return arrays


def _kinds(arrays: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]) -> dict[str, object]:
    """What must be alike: of flat lists not their length, as they name what is torn alone."""
    return {name: (dtype, None if len(shape) == 1 else shape) for name, (dtype, shape) in arrays.items()}


def _arrays(planes: Planes) -> dict[str, NDArray[Any]]:
    return {name: value for name, value in planes.state().items() if isinstance(value, np.ndarray)}


def _bytes(array: NDArray[Any]) -> memoryview:
    """An array's own memory, so that it can be read into."""
    assert array.flags.c_contiguous
    return array.reshape(-1).view(np.uint8).data
