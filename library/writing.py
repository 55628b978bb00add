"""Writing so that a file is whole or not there at all, whatever happens to power, process or disk."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.cards import Card, format_card, format_header, padded
from library.errors import DiskFullError

Buffer = bytes | memoryview

PART_MARK = ".part-"
_PART = re.compile(rf"\.(?P<name>.+){re.escape(PART_MARK)}[0-9a-f]{{8}}", re.DOTALL)
"""Temporary files are named ``.<name>.part-<random>``; whoever finds one after a crash may remove it."""

_BITPIX = {"uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "float32": -32, "float64": -64}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_durably(path: Path, buffers: Sequence[Buffer]) -> str:
    """Write the buffers one after another as ``path``, replacing what was there, and make them durable.

    Returns the sha256 of what was written, which a thread computes meanwhile.

    A temporary file in the same folder is written, fsynced and renamed, then the folder is fsynced: when
    this returns, the file survives a power cut; before, the old file (or none) does. Missing folders are
    made.

    Raises :class:`DiskFullError` if there is no room; the temporary file is removed on any failure.
    """
    with ThreadPoolExecutor(1, "sha256") as thread:
        hashing = thread.submit(sha256_of, buffers)
        replace_durably(path, buffers)
        return hashing.result()


def replace_durably(path: Path, buffers: Sequence[Buffer]) -> None:
    """What :func:`write_durably` does, without a digest."""
    try:
        make_folder(path.parent)
        _write_and_rename(path, buffers)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        size = sum(len(buffer) for buffer in buffers)
        raise DiskFullError(
            f"{path.parent}: no room for {path.name} ({size / 1e6:.1f} MB): {os.strerror(error.errno)}; "
            "free some space or choose another folder"
        ) from error


def sha256_of(buffers: Iterable[Buffer]) -> str:
    """The sha256 of buffers one after another."""
    sha256 = hashlib.sha256()
    for buffer in buffers:
        sha256.update(buffer)
    return sha256.hexdigest()


def write_image(path: Path, pixels: NDArray[Any], cards: Iterable[Card]) -> None:
    """Write an image durably (see :func:`encode_image` and :func:`write_durably`)."""
    write_durably(path, encode_image(pixels, cards))


def encode_image(pixels: NDArray[Any], cards: Iterable[Card], *, exact: bool = False) -> list[Buffer]:
    """A FITS file as buffers, from (H, W) or (H, W, 3) pixels: uint16 stays 16 bits, all else is float32.

    With ``exact`` every type that FITS knows stays what it is. ``cards`` are (keyword, value, comment) and
    follow the structural ones, which are written here.
    """
    planes = pixels if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    if planes.ndim not in {2, 3} or planes.size == 0:
        raise ValueError(f"an image of shape {pixels.shape} cannot be written")
    kept = _BITPIX if exact else {"uint16": 16}
    if planes.dtype.name not in kept:
        planes = planes.astype(np.float32)
    header = encode_header(planes.shape, planes.dtype, cards)
    if zero := _zero_of(planes.dtype):
        planes = planes ^ planes.dtype.type(zero)
    stored = np.ascontiguousarray(planes, planes.dtype.newbyteorder(">"))
    data = stored.reshape(-1).view(np.uint8).data
    return [header, data, bytes(padded(len(data)) - len(data))]


def encode_header(shape: tuple[int, ...], dtype: np.dtype[Any], cards: Iterable[Card]) -> bytes:
    """The header of an image (H, W) or (planes, H, W) of a type that FITS knows, with these cards in it."""
    structure: list[Card] = [
        ("SIMPLE", True, "conforms to FITS standard"),
        ("BITPIX", _BITPIX[dtype.name], "array data type"),
        ("NAXIS", len(shape), "number of array dimensions"),
        *((f"NAXIS{i + 1}", n, "") for i, n in enumerate(reversed(shape))),
    ]
    if zero := _zero_of(dtype):
        structure += [("BSCALE", 1, ""), ("BZERO", zero, f"unsigned {8 * dtype.itemsize}-bit integers")]
    return format_header(format_card(*card) for card in [*structure, *cards])


def _zero_of(dtype: np.dtype[Any]) -> int:
    """BZERO: FITS stores unsigned integers with their sign bit turned."""
    return 1 << (8 * dtype.itemsize - 1) if dtype.kind == "u" and dtype.itemsize > 1 else 0


def remove_parts(folder: Path, *, of: Collection[str] | None = None) -> None:
    """Remove what killed processes left half-written in a folder: of all files, or of those of these names.

    For whoever is alone in writing there: another's file may be in the making.
    """
    with suppress(OSError):  # what cannot be removed is in nobody's way
        for file in folder.iterdir():
            found = _PART.fullmatch(file.name)
            if found and (of is None or found["name"] in of):
                file.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, each durable before what goes into it."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_and_rename(path: Path, buffers: Sequence[Buffer]) -> None:
    part = path.with_name(f".{path.name}{PART_MARK}{secrets.token_hex(4)}")
    try:
        _write_and_sync(part, buffers)
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _write_and_sync(part: Path, buffers: Sequence[Buffer]) -> None:
    with part.open("xb", buffering=0) as file:
        for buffer in buffers:
            rest = memoryview(buffer)
            while rest:
                rest = rest[file.write(rest) or 0 :]
        os.fsync(file.fileno())
