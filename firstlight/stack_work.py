"""The working folder of a stack: what an interrupted run leaves, and the same command goes on from."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from firstlight.choices import Choices
from firstlight.errors import FirstlightError
from firstlight.events import MasterChoice
from firstlight.stack_job import StackJob, label
from library.errors import LibraryError
from library.formats.table import sequence_place
from library.naming import safe_name
from library.opening import resolved
from library.writing import remove_parts, write_durably
from livestack.dark_scaling import Scaling

_VERSION = 1
_TUPLES = ("reasons", "sha256s")


class WorkFolder:
    """It lies beside the output, hidden, and holds a kept stack for each filter.

    ``begin`` settles whether what is there is gone on with. What the calibration of each sub was and how long
    it took is told in addition to what the kept stacks remember.
    """

    def __init__(self, job: StackJob) -> None:
        self.path = job.output.parent / f".{job.output.stem}.firstlight"
        self._job, self._settings = job, _settings(job)
        self._lock: int | None = None
        self.names: list[str | None] = []
        self.calibrations: list[Choices] = []
        self.tried: dict[str, int] = {}
        """All files that were tried, in order, and when each was written (ns)."""

        self.seconds: dict[str, dict[str, float]] = {}
        self.scalings: dict[str, Scaling] = {}
        self._read()

    def _read(self) -> None:
        try:
            state = json.loads((self.path / "run.json").read_text("utf-8"))
            self.names = state["names"]
            self.calibrations = [tuple(map(_choice, each)) for each in state["calibrations"]]
            self._found = state["settings"]
        except (OSError, ValueError, KeyError, TypeError):
            self._found = None
        for line in _lines(self.path / "subs.jsonl"):
            self.tried[line["path"]] = line["written_ns"]
            self.seconds[line["path"]] = line["seconds"]
            if line["scaling"] is not None:
                self.scalings[line["path"]] = Scaling(**line["scaling"])

    def stale(self, lights: Iterable[Sequence[Path]] | None = None) -> str | None:
        """Why what is there cannot be gone on with; ``None`` if it can, or if there is nothing.

        ``lights`` are those of each filter in order. The first one sets scale and level, and perhaps the
        geometry; more may follow the known ones. None: a watched folder's, which may come in any order.
        """
        if self._found is None:
            return None
        if self._found != self._settings:
            other = [key for key in self._settings if self._found.get(key) != self._settings[key]]
            return f"the {' and '.join(other) or 'version'} changed"
        for path, written_ns in self.tried.items():
            if when_written_ns(Path(path)) not in {
                0,
                written_ns,
            }:  # what is gone is in its stack all the same
                return f"{path} was written again"
        if lights is None:
            return None
        named = [[str(path) for path in paths] for paths in lights]
        if gone := self.tried.keys() - {path for paths in named for path in paths}:
            return f"{min(gone)} is not among the lights any more"
        for paths in named:
            if paths[0] not in self.tried and not self.tried.keys().isdisjoint(paths):
                return f"{paths[0]} comes first now"
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None and not self.tried:
            self.remove()
        self._unlock()

    def begin(self, *, anew: bool) -> None:
        """Make the folder ready, for this process alone. Raises FirstlightError when that cannot be."""
        try:
            self.path.mkdir(exist_ok=True)
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._unlock()
            raise FirstlightError(
                f"{self.path}: another process is stacking into the same output; end that one first"
            ) from error
        except OSError as error:
            raise FirstlightError(f"{self.path}: cannot be used: {error.strerror}") from error
        remove_parts(self.path)
        job = self._job
        names = (job.outputs(self.names), job.previews(self.names))
        for path in [*job.results(), *(path for each in names for path in each.values())]:
            remove_parts(path.parent, of={path.name})
        if anew or self._found is None:
            self._clear()
            for each in (self.names, self.calibrations, self.tried, self.seconds, self.scalings):
                each.clear()
        self._write()

    def remove(self) -> None:
        """Forget everything."""
        self._clear()
        self._unlock()
        self.path.rmdir()

    def _clear(self) -> None:
        try:
            for each in self.path.iterdir():
                if each.is_dir():
                    shutil.rmtree(each)
                else:
                    each.unlink()
        except OSError as error:
            raise FirstlightError(f"{self.path}: cannot be emptied: {error.strerror}") from error

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def folder_of(self, name: str | None) -> Path:
        """Where the stack of a filter keeps itself."""
        if name not in self.names:
            self.names.append(name)
            self._write()
        return self.path / f"{self.names.index(name)}_{safe_name(label(name))}"

    def number_of(self, choices: Choices) -> int:
        """A number that stands for these choices, durably."""
        if choices not in self.calibrations:
            self.calibrations.append(choices)
            self._write()
        return self.calibrations.index(choices)

    def tell(self, path: str, seconds: Mapping[str, float], scaling: Scaling | None = None) -> None:
        """Remember of a sub what its stack does not. The last one may be lost with the power."""
        self.seconds[path] = dict(seconds)
        if scaling is not None:
            self.scalings[path] = scaling
        self.tried[path] = when_written_ns(Path(path))
        line = {
            "path": path,
            "written_ns": self.tried[path],
            "seconds": seconds,
            "scaling": None if scaling is None else asdict(scaling),
        }
        try:
            with (self.path / "subs.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError:  # figures alone; the stack itself will tell of a full disk
            return

    def _write(self) -> None:
        state = {
            "settings": self._settings,
            "names": self.names,
            "calibrations": [[asdict(each) for each in choices] for choices in self.calibrations],
        }
        try:
            write_durably(self.path / "run.json", [json.dumps(state).encode()])
        except OSError as error:
            raise FirstlightError(f"{self.path}: cannot be written: {error.strerror}") from error
        except LibraryError as error:
            raise FirstlightError(str(error)) from error


def when_written_ns(path: Path) -> int:
    """When a file was written last, 0 if that cannot be known; of a frame of a sequence that of its file."""
    place = sequence_place(path)
    if place is not None and not path.exists():
        path = place[0]
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _settings(job: StackJob) -> dict[str, Any]:
    """What changes the picture, other than the lights, the rules and what is done at the end."""
    wanted = job.wanted
    return {
        "version": _VERSION,
        "reference": _written(job.reference) if job.reference else None,
        "calibration files": [_written(path) for path in wanted.files],
        "library": None if wanted.library is None else str(resolved(wanted.library)),
        "dark scaling": wanted.optimise_dark,
        "mosaic": job.bayer,
        "demosaicing": job.demosaic,
        "interpolation": job.interpolation,
        "uncalibrated flats": wanted.uncalibrated_flats,
    }


def _written(path: Path) -> list[str | int]:
    """A file, and when it was written last."""
    return [str(resolved(path)), when_written_ns(path)]


def _choice(told: dict[str, Any]) -> MasterChoice:
    return MasterChoice(**{**told, **{key: tuple(told[key]) for key in _TUPLES}})


def _lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:  # the last one, when the power went
            continue
    return found
