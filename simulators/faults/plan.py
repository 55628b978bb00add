"""The file of ``--faults``: which faults, when, with which parameters.

::

    seed = 7                      # of everything random; 1 if absent

    [[fault]]
    name = "blob_truncated"
    at_exposure = 3               # and keep_fraction = 0.5, its default

    [[fault]]
    name = "driver_crash"
    device = "firstlight CCD"
    probability = 0.02            # at each exposure

A fault has exactly one of the triggers ``at_exposure``, ``at_opportunity``, ``at_s`` and ``probability``.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from simulators.faults.kinds import KINDS, Kind, Number, Value

_COUNT, _TIME, _CHANCE = Number(1, 1), Number(0.0, 0.0), Number(0.0, 0.0, 1.0)
TRIGGERS = {"at_exposure": _COUNT, "at_opportunity": _COUNT, "at_s": _TIME, "probability": _CHANCE}


class FaultFileError(ValueError):
    """A file of faults that cannot be read; says which key of which fault, and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One line of the script. Of the four triggers exactly one is not ``None``."""

    name: str
    parameters: Mapping[str, Value]
    at_exposure: int | None = None
    """The n-th exposure since the faults were armed; for others, the first opportunity from it on."""

    at_opportunity: int | None = None
    """The n-th time that the fault can happen."""

    at_s: float | None = None
    """The first opportunity this many simulated seconds after arming; where it needs none, then."""

    probability: float | None = None
    """At each opportunity."""

    times: int | None = 1
    """How often at most; ``None`` is for ever, the default with a probability."""

    def number(self, parameter: str) -> float:
        """A parameter that is a number."""
        return cast(float, self.parameters[parameter])

    def text(self, parameter: str) -> str:
        """A parameter that is a text."""
        return cast(str, self.parameters[parameter])


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """A whole script; ``path`` is where it was read, and may be read again."""

    faults: tuple[Fault, ...] = ()
    seed: int = 1
    path: Path | None = None

    def check_devices(self, there: Iterable[str]) -> None:
        """Raise :class:`FaultFileError` if a fault is for a device that is not there."""
        names = tuple(there)
        for number, fault in enumerate(self.faults, 1):
            device = fault.parameters.get("device")
            if device is not None and device not in names:
                where = f"{self.path}: fault {number} ({fault.name}): device"
                raise FaultFileError(f"{where}: there is no {device!r}; there are {', '.join(names)}")


def load(path: Path) -> FaultPlan:
    """Read a script. Raises :class:`FaultFileError`."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return _plan(data, path)
    except FaultFileError as error:
        raise FaultFileError(f"{path}: {error}") from None
    except OSError as error:
        raise FaultFileError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise FaultFileError(f"{path}: is no TOML: {error}") from error


def _plan(data: Mapping[str, Any], path: Path) -> FaultPlan:
    _refuse_others(data, ("seed", "fault"), "the file")
    listed = data.get("fault", [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise FaultFileError("fault: must be [[fault]] sections")
    return FaultPlan(
        faults=tuple(_fault(each, f"fault {number}") for number, each in enumerate(listed, 1)),
        seed=_whole(Number(1, 0), data.get("seed", 1), "seed"),
        path=path,
    )


def _fault(table: Mapping[str, Any], where: str) -> Fault:
    kind = _kind(table.get("name"), where)
    where = f"{where} ({kind.name})"
    _refuse_others(table, ("name", "times", *TRIGGERS, *kind.parameters), where)
    given = [trigger for trigger in TRIGGERS if trigger in table]
    if len(given) != 1:
        raise FaultFileError(f"{where}: must have one of {', '.join(TRIGGERS)}, not {len(given)}")
    trigger = given[0]
    read = _whole if TRIGGERS[trigger] is _COUNT else _checked
    when = read(TRIGGERS[trigger], table[trigger], f"{where}: {trigger}")
    times = _whole(_COUNT, table["times"], f"{where}: times") if "times" in table else None
    parameters = {
        name: _checked(parameter, table.get(name, parameter.default), f"{where}: {name}")
        for name, parameter in kind.parameters.items()
    }
    return Fault(
        name=kind.name,
        parameters=MappingProxyType(parameters),
        times=times or (None if trigger == "probability" else 1),
        **{trigger: when},
    )


def _kind(name: object, where: str) -> Kind:
    if isinstance(name, str) and name in KINDS:
        return KINDS[name]
    near = difflib.get_close_matches(str(name), KINDS, n=1)
    meant = f' (did you mean "{near[0]}"?)' if near else ""
    raise FaultFileError(f"{where}: name: there is no {name!r}{meant}; there are {', '.join(KINDS)}")


def _refuse_others(table: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    for key in table:
        if key not in (known := tuple(allowed)):
            raise FaultFileError(f"{where}: {key}: is not known; {where} may have {', '.join(known)}")


def _checked(parameter: Any, value: object, where: str) -> Any:
    try:
        return parameter.check(value)
    except ValueError as error:
        raise FaultFileError(f"{where}: must be {error}, not {value!r}") from None


def _whole(limits: Number, value: object, where: str) -> int:
    number = _checked(limits, value, where)
    if not math.isfinite(number) or number != int(number):
        raise FaultFileError(f"{where}: must be a whole number, not {value!r}")
    return int(number)
