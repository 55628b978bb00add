"""``library match``: which masters a light gets, and why."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.library.options import json_option, library_option, opened, wrapped
from tui.terminal import say, say_lines

if TYPE_CHECKING:
    from library.coverage import Field, Match
    from library.tolerances import Tolerances
    from tui.library.parser import Add

_MEANINGS = {
    "exact": "fits in every field",
    "acceptable": "fits, with something to know",
    "modelled": "no dark fits; one is synthesised from the dark model",
    "temperature": "NOT APPLIED: right settings, another temperature",
    "incompatible": "NOTHING APPLIED: there are some, and none fits",
    "missing": "nothing applied: there is none",
}
_LABELS = {
    "exposure_s": "exposure (s)",
    "sensor_temp_c": "temperature (°C)",
    "focal_length_mm": "focal length (mm)",
    "rotator_deg": "rotator (°)",
    "date_obs": "date",
}


def register(add: Add) -> None:
    """Add the command to the parser."""
    command = add("match", help="the masters that a light gets, and why these")
    command.add_argument("light", type=Path, metavar="LIGHT.fits", help="a light, or a flat")
    library_option(command)
    json_option(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the answer for each purpose."""
    from dataclasses import fields

    from firstlight.light_level import match_file
    from library.tolerances import read_tolerances

    with opened(arguments) as library:
        found = match_file(library, arguments.light)
        answers: dict[str, Match] = {each.name: getattr(found, each.name) for each in fields(found)}
        if arguments.json:
            say(json.dumps({kind: _facts(answer) for kind, answer in answers.items()}))
            return 0
        say(f"{arguments.light}")
        if all(answer.coverage == "not_needed" for answer in answers.values()):
            say_lines(("", f"nothing is needed: {found.dark.reasons[0]}"))
            return 0
        for kind, answer in answers.items():
            say_lines(_lines(kind, answer))
        say_lines(_rules(read_tolerances(library.folder.parent)))
    return 0


def _facts(answer: Match) -> dict[str, Any]:
    return {
        "coverage": answer.coverage.value,
        "path": None if answer.record is None else str(answer.record.path),
        "residual_noise_adu": answer.residual_noise_adu,
        "fields": [
            {"name": each.name, "wanted": each.wanted, "found": each.found, "verdict": each.verdict.value}
            for each in answer.fields
        ],
        "near_misses": [
            {"path": str(miss.record.path), "ruled_out_by": list(miss.ruled_out_by)}
            for miss in answer.near_misses
        ],
    }


def _lines(kind: str, answer: Match) -> list[str]:
    """One purpose: what is applied, how well it fits, field by field, and what else there is."""
    title = kind.replace("_", "-") if kind != "defects" else "defect map"
    if answer.coverage == "not_needed":
        return ["", *wrapped(f"{title}: not needed, {answer.reasons[0]}", "")]
    lines = ["", f"{title}: {answer.coverage.value.replace('_', ' ')}, {_MEANINGS[answer.coverage.value]}"]
    if answer.record is None:
        if not answer.near_misses:
            lines += wrapped(answer.reasons[0])
    else:
        lines += [line for reason in answer.reasons for line in wrapped(reason)]
        if answer.residual_noise_adu is not None:
            would = "expected to leave" if answer.usable else "would leave"
            lines.append(f"  {would} {answer.residual_noise_adu:.2g} ADU of noise in each pixel")
        lines += _same(answer.fields)
        lines.append(f"  {answer.record.path}")
    if answer.near_misses and answer.coverage != "exact":
        lines.append("  others, and what rules them out:")
        for miss in answer.near_misses:
            lines += wrapped(f"{miss.record.path.name}: {'; '.join(miss.ruled_out_by)}", "    ")
    return lines


def _same(fields: tuple[Field, ...]) -> list[str]:
    """What agrees; what does not is among the reasons."""
    same = [each for each in fields if each.verdict == "same"]
    known = [f"{_name(each)} {_shown(each.wanted)}" for each in same if each.wanted is not None]
    unknown = [_name(each) for each in same if each.wanted is None and each.found is None]
    lines = wrapped(f"the same: {', '.join(known)}")
    return lines + wrapped(f"unknown on both sides: {', '.join(unknown)}") if unknown else lines


def _name(each: Field) -> str:
    return _LABELS.get(each.name, each.name.replace("_", " "))


def _shown(value: str | float | None) -> str:
    if value is None:
        return "unknown"
    return value if isinstance(value, str) else f"{value:g}"


def _rules(rules: Tolerances) -> list[str]:
    """The hard keys and the tolerances in force."""
    from library.coverage import Verdict
    from library.fitness import SETTINGS
    from library.frames import FrameKind

    flats = [key.label for key in SETTINGS if FrameKind.DARK not in key.kinds]
    every = [key.label for key in SETTINGS if FrameKind.DARK in key.kinds]
    half = ", half a turn counts as none" if rules.rotator_half_turn else ""
    unknown = ", ".join(sorted(rules.unknown_fits)) or "none"
    exposure = f"{rules.exposure_s:g} s or {rules.exposure_fraction:.1%}"
    outside = f"{rules.model_temp_c:g} °C and {rules.model_exposure_fraction:.0%} of the exposure"
    said = (
        f"must be equal: {', '.join(every)}; of flats also {', '.join(flats)}",
        f"darks: temperature ± {rules.temp_c:g} °C, exposure ± {exposure}",
        f"flats: focal length ± {rules.focal_length_fraction:.1%}, rotator ± {rules.rotator_deg:g}°{half}",
        f"at most {rules.dark_days:g} days from a dark, {rules.bias_days:g} from a bias, "
        f"{rules.flat_days:g} from a flat",
        f"dark models: up to {outside} outside",
        f"may be {Verdict.UNKNOWN.value} on one side: {unknown}",
    )
    lines = ["", "rules ([matching] in library.toml changes the numbers)"]
    return lines + [line for each in said for line in wrapped(each)]
