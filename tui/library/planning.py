"""``library plan``: what calibration a plan wants; ``library shoot``: shoot it, by day and unattended."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from numerics.counting import counted, counted_are
from tui.library.options import json_option, library_of, library_option, opened, wrapped
from tui.terminal import say, say_lines, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from acquire.plan import Plan
    from firstlight.planning import CalibrationPlan, Item
    from tui.library.parser import Add

_NEGATIVE = re.compile(r"^-\d[-\d.,]*$")


def register(add: Add) -> None:
    """Add the commands to the parser."""
    plan = add("plan", help="what calibration a plan wants: there, missing, how many, how long")
    plan.add_argument("plan", type=Path, metavar="PLAN.toml", help="the night's plan")
    _need_options(plan)
    library_option(plan)
    json_option(plan)
    plan.set_defaults(run=run_plan)

    shoot = add("shoot", help="shoot darks and biases into the library, by day and unattended")
    shoot._negative_number_matcher = _NEGATIVE  # or "-10,-5" were an option
    shoot.add_argument("spec", type=Path, nargs="?", metavar="SETS.toml", help="a plan file with [[sets]]")
    shoot.add_argument(
        "--for", dest="plan", type=Path, metavar="PLAN.toml", help="what `library plan` finds missing for it"
    )
    _need_options(shoot)
    shoot.add_argument(
        "--temps", type=_numbers, metavar="C,C,…", help="sensor temperatures, such as -10,-5,0"
    )
    shoot.add_argument("--exposures", type=_exposures, default=(), metavar="S,S,…", help="darks' exposures")
    shoot.add_argument("--count", type=_count, default=20, metavar="N", help="darks of each (default 20)")
    shoot.add_argument("--bias", type=_count, default=0, metavar="N", help="biases at each temperature")
    shoot.add_argument("--camera", metavar="NAME", help="the camera's name on the server")
    shoot.add_argument("--gain", type=float, metavar="G", help="default: the camera's present gain")
    shoot.add_argument("--offset", type=float, metavar="O", help="default: the camera's present offset")
    shoot.add_argument("--binning", type=int, default=1, metavar="B", help="default 1")
    shoot.add_argument(
        "--tolerance", type=float, default=0.5, metavar="C", help="how far off a frame may be (default 0.5)"
    )
    shoot.add_argument(
        "--ramp", type=float, metavar="C/MIN", help="the cooler's pace (default: its driver's)"
    )
    shoot.add_argument(
        "--cooling-timeout", type=float, default=1800.0, metavar="S", help="for each temperature (1800)"
    )
    shoot.add_argument(
        "--amp-glow", action="store_true", help="the camera glows: a gradient in its darks is no light leak"
    )
    shoot.add_argument("--indi", metavar="HOST:PORT", help="the INDI server (default 127.0.0.1:7624)")
    library_option(shoot)
    shoot.add_argument(
        "--headless", action="store_true", help="lines and a progress bar instead of the screen"
    )
    shoot.add_argument("--json", action="store_true", help="one JSON object a line; implies --headless")
    shoot.set_defaults(run=run_shoot)


def _need_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--epsilon",
        type=_share,
        default=0.01,
        metavar="E",
        help="what a master may add to the stack's variance, as a share of it (default 0.01)",
    )
    command.add_argument(
        "--dither",
        type=_dither,
        metavar="K",
        help='places that the subs are dithered over: "every" sub its own, a number, or 1 for none '
        "(default: as the plan does, which cannot dither yet)",
    )
    command.add_argument(
        "--sky", type=float, metavar="ADU/S", help="the sky's background (default: as lights show it)"
    )


def run_plan(arguments: argparse.Namespace) -> int:
    """Print what is there, what is missing, how many and how long."""
    with opened(arguments, begins=True) as library:
        report = _report(arguments, library.folder.parent)(library)
    if arguments.json:
        say(json.dumps(report.to_dict()))
    else:
        say_lines(_lines(report))
    return 0


def _report(arguments: argparse.Namespace, root: Path) -> Callable[..., CalibrationPlan]:
    from datetime import UTC, datetime
    from functools import partial

    from acquire.plan_file import read_plan
    from firstlight.planning import MOST_UNDITHERED, plan_calibration
    from library.tolerances import read_tolerances

    return partial(
        plan_calibration,
        read_plan(arguments.plan),
        now=datetime.now(UTC),
        epsilon=arguments.epsilon,
        positions=1 if arguments.dither is None else arguments.dither.positions,
        most=MOST_UNDITHERED if arguments.dither is None else None,
        sky_adu_s=arguments.sky,
        tolerances=read_tolerances(root),
    )


def _lines(report: CalibrationPlan) -> Iterator[str]:
    from firstlight.telling import duration

    figures = report.figures
    places = (
        "every sub is dithered"
        if report.positions is None
        else f"subs are dithered over {report.positions} places"
    )
    if report.positions == 1:
        places = "the subs are not dithered"
    yield f"Calibration for {report.plan_name}, camera {report.camera or 'unknown'}"
    yield f"  each master may add {100 * report.epsilon:.3g} % to the stack's variance; {places}"
    yield "What it rests on"
    yield from _figure(
        "read noise", f"{figures.read_noise_adu.value:8.2f} ADU", figures.read_noise_adu.source
    )
    yield from _figure("gain", f"{figures.e_per_adu.value:8.3f} e⁻/ADU", figures.e_per_adu.source)
    yield from _figure("dark current", f"{figures.dark_adu_s.value:8.4f} ADU/s", figures.dark_adu_s.source)
    for name, sky in report.skies:
        yield from _figure(f"sky {name or ''}", f"{sky.value:8.3f} ADU/s", sky.source)
    if report.flat_adu is not None:
        yield from _figure("flats' level", f"{report.flat_adu.value:8.0f} ADU", report.flat_adu.source)
    yield from _figure("readout", f"{figures.overhead_s.value:8.1f} s", figures.overhead_s.source)
    yield "Masters                    there  needed  missing    takes   dithered / not"
    yield from (_row(item) for item in report.items)
    missing = sum(item.missing for item in report.items)
    yield (
        f"Missing: {counted(missing, 'frame')}, {duration(report.seconds)}"
        if missing
        else "Nothing is missing."
    )
    for note in report.notes:
        yield from wrapped(f"Note: {note}", "")


def _figure(name: str, value: str, source: str) -> list[str]:
    """What the plan rests on, and from where."""
    before = f"  {name:<13} {value:<15}  "
    return wrapped(source, before, hang=0)


def _row(item: Item) -> str:
    from firstlight.telling import duration, exposure

    what = " ".join(
        filter(
            None,
            (
                item.kind.value.replace("_", "-"),
                exposure(item.exposure_s) if item.exposure_s else "",
                item.filter,
                "" if item.temperature_c is None else f"{item.temperature_c:.0f} °C",
            ),
        )
    )
    takes = duration(item.seconds) if item.missing else "–"
    both = f"{item.dithered} / {item.undithered}"
    return f"  {what:<24} {item.there:>5}  {item.needed:>6}  {item.missing:>7}  {takes:>7}   {both}"


def run_shoot(arguments: argparse.Namespace) -> int:
    """Write the plan of the frames to be shot and run it as a session."""
    from firstlight.config import DEFAULT_INDI, parse_address
    from firstlight.launch import SessionSpec
    from firstlight.shooting_plan import steps_left, write_plan
    from library.masters import build_masters
    from library.store import Library
    from tui.commands import follow_session

    indi = arguments.indi or DEFAULT_INDI
    parse_address(indi)
    root = library_of(arguments, begins=True)
    plan = _shooting_plan(arguments, root)
    if plan is None:
        warn("Nothing is missing.")
        return 0
    with Library.open(root) as library:  # says what is wrong with it before anything starts
        if not steps_left(plan, library):
            for master in build_masters(library, plan_id=plan.plan_id):  # what a crash left unbuilt
                warn(f"built {master.path}")
            warn("Nothing is missing.")
            return 0
        file = write_plan(plan, root)
    spec = SessionSpec(root=str(root), plan=str(file), indi=indi, glows=arguments.amp_glow)
    return follow_session(spec, arguments)


def _shooting_plan(arguments: argparse.Namespace, root: Path) -> Plan | None:
    """What the options ask for; ``None`` if all of it is there."""
    from dataclasses import replace

    from acquire.plan import CameraSettings, Equipment
    from acquire.plan_file import read_plan
    from firstlight.errors import FirstlightError
    from firstlight.shooting_plan import ladder, sets_missing, shooting_plan
    from library.store import Library

    if arguments.spec is not None:
        given = read_plan(arguments.spec)
        if given.lights or not given.sets:
            raise FirstlightError(f"{arguments.spec}: has no [[sets]] alone; `firstlight run` shoots lights")
        return given
    if arguments.plan is None:
        if not arguments.exposures and not arguments.bias:
            raise FirstlightError("there is nothing to shoot: give --exposures, --bias or --for PLAN.toml")
        camera = CameraSettings(
            gain=arguments.gain,
            offset=arguments.offset,
            binning=arguments.binning,
            temperature_tolerance_c=arguments.tolerance,
            ramp_c_per_min=arguments.ramp,
            cooling_timeout_s=arguments.cooling_timeout,
        )
        sets = ladder(
            arguments.temps or (), arguments.exposures, darks=arguments.count, biases=arguments.bias
        )
        return shooting_plan(sets, equipment=Equipment(camera=arguments.camera), camera=camera)
    night = read_plan(arguments.plan)
    camera = replace(
        night.camera, temperature_c=None, ramp_c_per_min=arguments.ramp or night.camera.ramp_c_per_min
    )
    equipment = replace(night.equipment, mount=None, camera=arguments.camera or night.equipment.camera)
    probe = shooting_plan(ladder((), (), darks=0, biases=1), equipment=equipment, camera=camera)
    with Library.open(root) as library:
        report = _report(arguments, root)(library, besides=probe.plan_id)
    sets = sets_missing(report.items)
    for item in report.items:
        if item.missing and item.kind.value == "flat":
            flats = counted_are(item.missing, f"{item.filter} flat" if item.filter else "flat")
            warn(f"{flats} left to the night: flats need light")
    return shooting_plan(sets, equipment=equipment, camera=camera) if sets else None


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not numbers with commas between, such as 60,120,300"
        ) from None


def _exposures(text: str) -> tuple[float, ...]:
    values = _numbers(text)
    if not all(0 < value <= 86_400 for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} is not seconds, more than 0 each (--bias shoots biases)")
    return values


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return int(text)


def _share(text: str) -> float:
    if not 0.0 < float(text) <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return float(text)


@dataclass(frozen=True, slots=True)
class _Dither:
    """Places that the subs lie on; None: each has its own."""

    positions: int | None


def _dither(text: str) -> _Dither:
    if text == "every":
        return _Dither(None)
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is neither "every" nor a number from 1 up')
    return _Dither(int(text))
