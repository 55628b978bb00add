"""What the first subs settled, on disk: without it, the places of all others mean nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

from library.writing import replace_durably
from livestack.engine import Basis
from livestack.errors import StateError
from livestack.ledger import Entry, Ledger
from livestack.plain import plain, whole
from livestack.setups import Habit, Setup

BASIS = "basis.json"


def write_basis(path: Path, basis: Basis) -> None:
    """Make it durable, but for the habits, which follow from the ledger.

    Raises OSError or :class:`library.errors.DiskFullError`.
    """
    text = json.dumps(plain(replace(basis, habits=())), allow_nan=False)
    replace_durably(path, [f"{crc32(text.encode()):08x}\n{text}\n".encode()])


def read_basis(folder: Path) -> Basis:
    """That of a folder, an empty one of a new folder; raises :class:`StateError` for a damaged one."""
    path = folder / BASIS
    try:
        checksum, text = path.read_text("utf-8").split("\n")[:2]
        if checksum != f"{crc32(text.encode()):08x}":
            raise StateError(_damaged(folder))
        return whole(Basis, _today(json.loads(text)))
    except FileNotFoundError:
        return Basis()
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise StateError(_damaged(folder)) from error


def _today(basis: dict[str, Any]) -> dict[str, Any]:
    """A basis as it is written now: codings once told their 4,094 codes a root of an ADU."""
    for founding in basis["foundings"]:
        coding = founding["coding"]
        if "per_root_adu" in coding:
            coding["span_adu"] = (4094 / coding["per_root_adu"]) ** 2
    return basis


def rested_on(basis: Basis, ledger: Ledger) -> Basis:
    """What the subs of the ledger rest on, with their habits.

    What a sub settled that a crash kept from the ledger will be settled again, by it or by another.
    Raises :class:`StateError` if anything is missing.
    """
    placed = [entry for entry in ledger.entries.values() if entry.placed is not None]
    founders = {entry.frame_id for entry in placed}
    foundings = tuple(each for each in basis.foundings if each.frame_id in founders)
    wanted = {entry.filter for entry in placed}
    reference = basis.reference if placed or ledger.reference is not None else None
    if wanted != {each.filter for each in foundings} or (placed and reference is None):
        raise StateError(_damaged(ledger.folder))
    return Basis(reference=reference, foundings=foundings, habits=_habits(placed))


def _habits(placed: list[Entry]) -> tuple[Habit, ...]:
    """What each setup did last, from all its subs in order."""
    habits: dict[Setup, Habit] = {}
    for entry in placed:
        assert entry.placed is not None
        if entry.setup is not None:
            matrix = entry.placed.warp.matrix
            known = habits.get(entry.setup) or Habit(entry.setup, matrix, {})
            habits[entry.setup] = known.then(entry.filter, matrix, entry.placed.scale, entry.exposure_s)
    return tuple(habits.values())


def _damaged(folder: Path) -> str:
    return f"{folder}: what its stack rests on is damaged; remove the folder, and stack the subs anew"
