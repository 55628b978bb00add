"""The plan of a library to be shot, ordered to spare the cooler; in a file that is run as any plan."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from acquire.plan import CameraSettings, DarkSet, Equipment, Plan, plan_to_dict
from firstlight.errors import FirstlightError
from firstlight.planning import Item
from library.frames import FrameKind
from library.naming import safe_name
from library.store import Library
from library.writing import write_durably

NAME = "calibration library"
_DARKNESS = {FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT_DARK}
_KINDS = ("bias", "dark", "flat_dark")


def shooting_plan(sets: Iterable[DarkSet], *, equipment: Equipment, camera: CameraSettings) -> Plan:
    """A plan of these sets, in the order that costs the cooler least.

    Temperatures fall, so that each is reached once and from the warm side, where the cooler begins; at each,
    biases come first, then the darks, the shorter ones first. Sets that are alike become one.
    """
    counts: dict[tuple[str, float, float | None], int] = {}
    for each in sets:
        key = (each.kind, each.exposure_s, each.temperature_c)
        counts[key] = max(counts.get(key, 0), each.count)
    if not counts:
        raise FirstlightError("there is nothing to shoot: give --exposures, --bias or --for PLAN.toml")
    ordered = sorted(
        counts.items(),
        key=lambda item: (
            -(item[0][2] if item[0][2] is not None else -1e9),
            _KINDS.index(item[0][0]),
            item[0][1],
        ),
    )
    return Plan(
        name=NAME,
        equipment=equipment,
        camera=camera,
        sets=tuple(
            DarkSet(kind=kind, exposure_s=exposure_s, temperature_c=temp_c, count=count)
            for (kind, exposure_s, temp_c), count in ordered
        ),
    )


def ladder(
    temps_c: Sequence[float], exposures_s: Sequence[float], *, darks: int, biases: int
) -> list[DarkSet]:
    """Every exposure and the biases at every temperature; without temperatures, as the sensor is."""
    sets = []
    for temp_c in temps_c or (None,):
        if biases:
            sets.append(DarkSet(kind="bias", count=biases, temperature_c=temp_c))
        sets += [
            DarkSet(kind="dark", exposure_s=exposure_s, count=darks, temperature_c=temp_c)
            for exposure_s in exposures_s
            if darks
        ]
    return sets


def sets_missing(items: Iterable[Item]) -> list[DarkSet]:
    """What needs no light of what is missing."""
    return [
        DarkSet(
            kind=item.kind.value,
            exposure_s=item.exposure_s,
            count=item.missing,
            temperature_c=item.temperature_c,
        )
        for item in items
        if item.missing and item.kind in _DARKNESS
    ]


def steps_done(plan: Plan, library: Library) -> set[str]:
    """The steps whose frames are in the library and count."""
    return {each.meta.step_id for each in library.find(plan_id=plan.plan_id) if each.meta.step_id}


def steps_left(plan: Plan, library: Library) -> int:
    """How many frames are still to be shot, with the camera's cooler or, if it has none, without."""
    done = steps_done(plan, library)
    return min(
        sum(step.step_id not in done for step in each.steps()) for each in (plan, plan.as_warm_as_it_is())
    )


def write_plan(plan: Plan, root: Path) -> Path:
    """Write it below ``root`` under its own id, durably; returns the file."""
    file = root / f"{safe_name(plan.name)}-{plan.plan_id}.toml"
    file.unlink(missing_ok=True)
    write_durably(file, [_toml(plan).encode()])
    return file


def _toml(plan: Plan) -> str:
    lines = ["# What `firstlight library shoot` shoots; `firstlight run` takes it, too."]
    tables: list[tuple[str, dict[str, Any]]] = []
    for key, value in plan_to_dict(plan).items():
        if isinstance(value, dict):
            tables.append((f"[{key}]", value))
        elif isinstance(value, list):
            tables += [(f"[[{key}]]", each) for each in value]
        else:
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    for head, table in tables:
        if table:
            lines += ["", head, *(f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in table.items())]
    return "\n".join(lines) + "\n"
