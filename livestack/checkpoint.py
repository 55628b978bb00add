"""A filter's planes on disk, whole or not at all: what is torn or rotten is told from what is good.

A first line with the checksum of the second, that one JSON, then the planes' bytes as they lie in memory.
They are written and read in place: a process that has the memory for one stack needs no second.
"""

from __future__ import annotations

import json
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

_MAGIC = "firstlight planes 1"
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The subs whose pixels are in a filter's planes, in the order in which they were stacked."""

    frame_ids: tuple[str, ...] = ()
    noises_adu: tuple[float, ...] = ()
    exposures_s: tuple[float | None, ...] = ()


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
    arrays = {name: _bytes(array) for name, array in _arrays(stack.planes).items()}
    header = _Header(
        held=Held(
            frame_ids=frame_ids,
            noises_adu=tuple(stack.noises_adu),
            exposures_s=tuple(stack.exposures_s),
        ),
        arrays=tuple(
            _Array(name=name, dtype=array.dtype.str, shape=array.shape, crc32=crc32(arrays[name]))
            for name, array in _arrays(stack.planes).items()
        ),
    )
    text = json.dumps(plain(header), allow_nan=False).encode()
    replace_durably(path, [f"{_MAGIC} {crc32(text):08x}\n".encode(), text, b"\n", *arrays.values()])


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
            _fill(stack.planes, header, file, path)
    except (CheckpointError, OSError) as error:
        stack.clear()
        raise CheckpointError(str(error)) from error
    held = header.held
    stack.planes.subs = len(held.frame_ids)
    stack.noises_adu[:], stack.exposures_s[:] = held.noises_adu, held.exposures_s
    return held


def _header(file: BufferedReader, path: Path) -> _Header:
    first = file.readline(len(_MAGIC) + 16).decode("ascii", "replace").rstrip("\n")
    text = file.readline(_LONGEST_HEADER).rstrip(b"\n")
    if first != f"{_MAGIC} {crc32(text):08x}":
        raise CheckpointError(f"{path}: is no checkpoint of this version, or it is damaged")
    try:
        return whole(_Header, json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: is no checkpoint of this version") from error


def _fill(planes: Planes, header: _Header, file: BufferedReader, path: Path) -> None:
    arrays = _arrays(planes)
    told = {each.name: (np.dtype(each.dtype), each.shape) for each in header.arrays}
    if told != {name: (array.dtype, array.shape) for name, array in arrays.items()}:
        raise CheckpointError(f"{path}: is of another kind of stack than this one")
    for each in header.arrays:
        target = _bytes(arrays[each.name])
        if file.readinto(target) != len(target) or crc32(target) != each.crc32:
            raise CheckpointError(f"{path}: its {each.name} is damaged")


def _arrays(planes: Planes) -> dict[str, NDArray[Any]]:
    return {name: value for name, value in planes.state().items() if isinstance(value, np.ndarray)}


def _bytes(array: NDArray[Any]) -> memoryview:
    """An array's own memory, so that it can be read into."""
    assert array.flags.c_contiguous
    return array.reshape(-1).view(np.uint8).data
