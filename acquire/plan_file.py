"""Plans in TOML. An error names the file, the key, what is wrong with it and what is allowed."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from acquire.errors import PlanError
from acquire.plan import Calibration, CameraSettings, DarkSet, End, Equipment, Lights, Options, Plan, Target
from acquire.settings import Checked, fields_in_file, key_of
from library.opening import read_text

_SECTIONS: dict[str, type[Checked]] = {
    "equipment": Equipment,
    "camera": CameraSettings,
    "target": Target,
    "calibration": Calibration,
    "options": Options,
    "end": End,
}
_LISTS: dict[str, type[Checked]] = {"lights": Lights, "sets": DarkSet}
_Part = TypeVar("_Part", bound=Checked)


def read_plan(path: Path) -> Plan:
    """Read a plan. Raises :class:`PlanError`."""
    try:
        data = tomllib.loads(read_text(path))
    except FileNotFoundError:
        raise PlanError(f"{path}: there is no such file") from None
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path}: is not TOML: {error}") from error
    return plan_from_dict(data, str(path))


def plan_from_dict(data: Mapping[str, Any], source: str = "plan") -> Plan:
    """Build a plan from a file's tables; ``source`` begins every error."""
    parts = dict(data)
    for name, cls in _SECTIONS.items():
        if name in parts:
            parts[name] = _build(cls, parts[name], f"{source}: [{name}] ")
    for name, cls in _LISTS.items():
        tables = parts.get(name, [])
        if not isinstance(tables, list | tuple):
            raise PlanError(f"{source}: {name}: must be [[{name}]] sections, not {tables!r}")
        parts[name] = tuple(
            _build(cls, table, f"{source}: [[{name}]] number {number}: ")
            for number, table in enumerate(tables, 1)
        )
    return _build(Plan, parts, f"{source}: ")


def _build(cls: type[_Part], table: Any, where: str) -> _Part:
    if not isinstance(table, Mapping):
        raise PlanError(f"{where}must be a section with keys, not {table!r}")
    fields = {key_of(field): field for field in fields_in_file(cls)}
    for key in table:
        if key not in fields:
            raise PlanError(f"{where}{key}: no such key{_hint(key, fields)}")
    for key, field in fields.items():
        if key not in table and field.default is dataclasses.MISSING:
            raise PlanError(f"{where}{key}: is missing")
    try:
        return cls(**{fields[key].name: value for key, value in table.items()})
    except PlanError as error:
        raise PlanError(f"{where}{error}") from None


def _hint(key: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; allowed are {', '.join(sorted(known))}"
