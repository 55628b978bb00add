"""What is known of each sub of a stack, on disk: an append-only file of JSON lines, and one of patches.

A line says what a sub came to, or that its standing has changed, or that other rules hold: the last word
counts. A line that a crash has torn is no line.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from library.digests import append_text
from library.writing import make_folder
from livestack.errors import StateError
from livestack.events import SubAccepted, SubRejected
from livestack.grading import Measures, Rules, Verdict
from livestack.placing import Placed
from livestack.plain import plain, whole
from livestack.setups import Setup
from livestack.survey import Patches

LINES, PATCHES, LOCK = "ledger.jsonl", "patches.bin", "lock"


class By(StrEnum):
    """Whose word it is that a sub is in its stack, or isn't: the user's outranks the rules'."""

    RULES = "rules"
    HAND = "hand"
    STACK = "stack"
    """It cannot be aligned, or its file is gone."""

    WEIGHT = "weight"
    """Its weight is too far from the others': :mod:`livestack.weighing`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a sub belongs into its stack, by whose word, and why; ``why`` is empty for a good sub."""

    inside: bool
    by: By
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """One sub. Without ``placed`` it could not be aligned, and can never be put back.

    ``kind`` names the subs that it is compared with: its filter, exposure and camera. ``event`` is what was
    said of it when it came, ``standing`` what holds now. ``note`` is whatever JSON the caller gave with it.
    The patches of ``placed`` are left on the disk: :meth:`Ledger.placed` has them.
    """

    frame_id: str
    filter: str | None
    kind: str
    exposure_s: float | None
    event: SubAccepted | SubRejected
    standing: Standing
    setup: Setup | None = None
    measures: Measures | None = None
    verdict: Verdict | None = None
    placed: Placed | None = None
    note: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packed:
    """Where a sub's patches are in the file of all, and their checksum."""

    offset: int
    length: int
    crc32: int


class Ledger:
    """The two files of a folder, which no other process may use meanwhile.

    What is entered holds in memory at once, and on disk after :meth:`flush`; where that fails it is tried
    again by the next. Raises :class:`StateError` for a folder that is in use or cannot be used.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        self.rules: Rules | None = None
        self.reference: str | None = None
        """The frame that set the geometry without being stacked itself."""

        self.damaged_lines = 0
        self._now = now
        self._lines: list[dict[str, Any]] = []
        self._packed: dict[str, _Packed | bytes] = {}
        try:
            make_folder(folder)
            self._lock = _locked(folder / LOCK)
            self._read()
        except OSError as error:
            raise StateError(
                f"{folder}: cannot be used ({error.strerror or error}); name another folder"
            ) from error

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._lock)

    def add(self, entry: Entry) -> None:
        """Enter a sub, with the patches of its place."""
        if entry.placed is not None:
            self._packed[entry.frame_id] = _packed(entry.placed.patches)
            entry = replace(entry, placed=replace(entry.placed, patches=Patches()))
        self.entries[entry.frame_id] = entry
        self._note({"sub": plain(entry)})

    def move(self, frame_id: str, standing: Standing, verdict: Verdict | None) -> Entry:
        """Change a sub's standing and what the rules say of it."""
        entry = self.entries[frame_id] = replace(self.entries[frame_id], standing=standing, verdict=verdict)
        self._note({"frame_id": frame_id, "standing": plain(standing), "verdict": plain(verdict)})
        return entry

    def rule(self, rules: Rules) -> None:
        """Other rules hold from here on."""
        self.rules = rules
        self._note({"rules": plain(rules)})

    def refer_to(self, frame_id: str) -> None:
        """A frame that is not stacked itself has set the geometry."""
        self.reference = frame_id
        self._note({"reference": frame_id})

    def placed(self, frame_id: str) -> Placed:
        """How a sub was placed, with its patches; raises :class:`StateError` if they cannot be read."""
        placed = self.entries[frame_id].placed
        if placed is None:
            raise StateError(f"{frame_id} could not be aligned")
        packed = self._packed.get(frame_id)
        if isinstance(packed, _Packed):
            packed = self._unpacked(packed)
        if packed is None:
            raise StateError(f"{self.folder / PATCHES}: what was kept of {frame_id} is damaged")
        return replace(placed, patches=_patches(packed))

    def flush(self) -> None:
        """Make all that was entered durable; raises OSError."""
        if not self._lines:
            return
        for line in self._lines:
            if "sub" in line and line["sub"]["placed"] is not None and "patches" not in line:
                packed = self._packed[line["sub"]["frame_id"]]
                assert isinstance(packed, bytes)
                line["patches"] = plain(_append(self.folder / PATCHES, packed)) if packed else None
        text = "".join(f"{json.dumps(line, allow_nan=False)}\n" for line in self._lines)
        append_text(self.folder / LINES, text, durably=True)
        for line in self._lines:
            self._keep_place(line)
        self._lines.clear()

    def _note(self, line: dict[str, Any]) -> None:
        self._lines.append({"at": self._now().astimezone(UTC).isoformat(timespec="milliseconds"), **line})

    def _read(self) -> None:
        try:
            text = (self.folder / LINES).read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return
        for line in text.split("\n")[:-1]:
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
                self.damaged_lines += 1

    def _take(self, line: dict[str, Any]) -> None:
        if "sub" in line:
            entry = whole(Entry, _today(line["sub"]))
            self._keep_place(line)
            self.entries[entry.frame_id] = entry
        elif "standing" in line:
            self.entries[line["frame_id"]] = replace(
                self.entries[line["frame_id"]],
                standing=whole(Standing, line["standing"]),
                verdict=None if line["verdict"] is None else whole(Verdict, line["verdict"]),
            )
        elif "rules" in line:
            self.rules = whole(Rules, line["rules"])
        else:
            self.reference = line["reference"]

    def _keep_place(self, line: dict[str, Any]) -> None:
        if "patches" in line:
            place = line["patches"]
            self._packed[line["sub"]["frame_id"]] = b"" if place is None else whole(_Packed, place)

    def _unpacked(self, packed: _Packed) -> bytes | None:
        try:
            with (self.folder / PATCHES).open("rb") as file:
                file.seek(packed.offset)
                found = file.read(packed.length)
        except OSError:
            return None
        return found if zlib.crc32(found) == packed.crc32 else None


def _today(sub: dict[str, Any]) -> dict[str, Any]:
    """A sub's line as it is written now: weights were classes once, a factor √2 apart, the first sub's 3."""
    placed = sub.get("placed")
    if placed is None or "number" not in placed:
        return sub
    return {**sub, "placed": {**placed, "weight": 2 ** ((3 - placed["number"]) / 2)}}


def _locked(path: Path) -> int:
    """A descriptor that holds the folder until it is closed, or its process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StateError(
            f"{path.parent}: another process is stacking into it; end that one, or name another folder"
        ) from error
    return descriptor


def _append(path: Path, data: bytes) -> _Packed:
    """Append durably, and say where; what a failure leaves half written is never pointed at."""
    with path.open("ab", buffering=0) as file:
        offset = os.fstat(file.fileno()).st_size
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) or 0 :]
        os.fsync(file.fileno())
    return _Packed(offset=offset, length=len(data), crc32=zlib.crc32(data))


def _packed(patches: Patches) -> bytes:
    """Steps from place to place, then values, byte by byte of their words: so they deflate best."""
    if not len(patches.places):
        return b""
    steps = np.diff(patches.places, prepend=0).astype("<i4")
    values = patches.values.astype("<f4")
    return zlib.compress(b"".join(each.view(np.uint8).reshape(-1, 4).T.tobytes() for each in (steps, values)))


def _patches(packed: bytes) -> Patches:
    if not packed:
        return Patches()
    words = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(2, 4, -1).transpose(0, 2, 1)
    steps, values = (np.ascontiguousarray(each).reshape(-1) for each in words)
    places = np.cumsum(steps.view("<i4"), dtype=np.int64)
    return Patches(places, values.view("<f4").astype(np.float32))
