"""What masters a plan wants: figures measured from the library, what is there and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquire.plan import Calibration, CameraSettings, Equipment, Lights, Plan
from acquire.plan_file import read_plan
from firstlight.planning import CalibrationPlan, plan_calibration
from firstlight.shooting_plan import ladder, sets_missing, shooting_plan, write_plan
from library.frames import FrameKind, FrameRecord
from library.store import Library
from tests.library.frames import INDI_CARDS, fits_bytes, stamp

NOW = datetime(2026, 3, 2, tzinfo=UTC)
GAIN_E, NOISE_ADU, DARK_ADU_S, SKY_ADU_S, BIAS_ADU = 0.8, 4.0, 0.05, 1.5, 400.0


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path) as opened:
        yield opened


def add(library: Library, kind: FrameKind, exposure_s: float, light_adu: float, **more: Any) -> FrameRecord:
    number = len(library.find(retired=None))
    rng = np.random.default_rng(number)
    signal_adu = light_adu + DARK_ADU_S * exposure_s
    pixels = rng.poisson(signal_adu * GAIN_E, (160, 160)) / GAIN_E + rng.normal(
        BIAS_ADU, NOISE_ADU, (160, 160)
    )
    given = {"kind": kind, "exposure_s": exposure_s, "step_id": f"{number}", "sensor_temp_c": -10.0} | more
    return library.add(fits_bytes(pixels.round().astype(np.uint16)), stamp(f"f{number}", **given))


def fill(library: Library) -> None:
    for _ in range(6):
        add(library, FrameKind.BIAS, 0.0, 0.0)
    for exposure_s in (60.0, 120.0, 300.0, 600.0):
        add(library, FrameKind.DARK, exposure_s, 0.0)
    for _ in range(4):
        add(library, FrameKind.FLAT, 2.0, 20_000.0)
    for _ in range(2):
        add(library, FrameKind.LIGHT, 120.0, SKY_ADU_S * 120.0)


PLAN = Plan(
    name="tonight",
    camera=CameraSettings(temperature_c=-10),
    lights=(Lights(filter="L", exposure_s=120, count=40),),
    calibration=Calibration(flat_exposure_s=2),
)


def of_kind(report: CalibrationPlan, kind: FrameKind) -> Any:
    [found] = [item for item in report.items if item.kind is kind]
    return found


def test_the_figures_are_measured(library: Library) -> None:
    fill(library)
    report = plan_calibration(PLAN, library, now=NOW)
    figures = report.figures
    assert figures.read_noise_adu.value == pytest.approx(NOISE_ADU, rel=0.03)
    assert figures.e_per_adu.value == pytest.approx(GAIN_E, rel=0.05)
    assert figures.dark_adu_s.value == pytest.approx(DARK_ADU_S, rel=0.05)
    assert dict(report.skies)["L"].value == pytest.approx(SKY_ADU_S, rel=0.02)
    assert report.flat_adu is not None
    assert report.flat_adu.value == pytest.approx(20_000, rel=0.01)


def test_what_is_there_counts_and_the_rest_is_missing(library: Library) -> None:
    fill(library)
    report = plan_calibration(PLAN, library, now=NOW)
    dark = of_kind(report, FrameKind.DARK)
    assert dark.there == 1
    assert dark.missing == dark.needed - 1
    assert dark.seconds == pytest.approx(dark.missing * (120 + report.figures.overhead_s.value))
    for _ in range(dark.missing):
        add(library, FrameKind.DARK, 120.0, 0.0)
    full = of_kind(plan_calibration(PLAN, library, now=NOW), FrameKind.DARK)
    assert full.missing == 0
    assert full.seconds == 0
    library.retire([library.find(kind=FrameKind.DARK)[-1]], "moved")
    assert of_kind(plan_calibration(PLAN, library, now=NOW), FrameKind.DARK).missing == 1


def test_frames_that_do_not_fit_are_not_there_and_the_reason_is_told(library: Library) -> None:
    fill(library)
    old = plan_calibration(PLAN, library, now=datetime(2029, 1, 1, tzinfo=UTC))
    assert all(item.there == 0 for item in old.items)
    assert any("no dark fits" in note and "days" in note for note in old.notes)


def test_an_empty_library_gets_assumptions_that_say_so(library: Library) -> None:
    report = plan_calibration(PLAN, library, now=NOW)
    assert all("assumed" in each.source for each in (report.figures.read_noise_adu, report.skies[0][1]))
    assert all(item.there == 0 and item.missing == item.needed for item in report.items)


def test_dithering_spares_darks_and_a_given_sky_counts(library: Library) -> None:
    fill(library)
    dark = [
        of_kind(plan_calibration(PLAN, library, now=NOW, positions=k, sky_adu_s=0.2), FrameKind.DARK).needed
        for k in (None, 10, 1)
    ]
    assert dark[0] <= dark[1] <= dark[2]
    assert dark[2] > 10 * dark[0]


def test_what_the_plan_does_is_asked_for_and_no_more_than_anybody_shoots(library: Library) -> None:
    fill(library)

    def dark(positions: int | None, most: int | None) -> tuple[Any, tuple[str, ...]]:
        report = plan_calibration(
            PLAN, library, now=NOW, positions=positions, most=most, sky_adu_s=0.2, epsilon=0.001
        )
        return of_kind(report, FrameKind.DARK), report.notes

    exact, _ = dark(1, None)
    assert exact.needed == exact.undithered > 200
    capped, notes = dark(1, 100)
    assert capped.needed == max(100, capped.dithered) < exact.needed
    [note] = [note for note in notes if note.startswith("dark: the plan does not dither")]
    assert f"{exact.needed} would be wanted; {capped.needed} add" in note
    assert f"want {capped.dithered}: say --dither every" in note
    dithered, notes = dark(None, 100)
    assert dithered.needed == dithered.dithered
    assert not any("dither" in note for note in notes)


def test_what_is_missing_becomes_a_plan_of_its_own(library: Library, tmp_path: Path) -> None:
    fill(library)
    report = plan_calibration(PLAN, library, now=NOW)
    sets = sets_missing(report.items)
    assert {each.kind for each in sets} == {"bias", "dark", "flat_dark"}
    made = shooting_plan(sets, equipment=Equipment(), camera=PLAN.camera)
    assert read_plan(write_plan(made, tmp_path)) == made


def test_temperatures_fall_and_biases_come_first() -> None:
    sets = ladder((-10, 0, -5), (300, 60), darks=2, biases=3)
    plan = shooting_plan(sets, equipment=Equipment(), camera=CameraSettings())
    steps = list(plan.steps())
    temps = [step.temperature_c for step in steps if step.temperature_c is not None]
    assert temps == sorted(temps, reverse=True)
    assert list(dict.fromkeys(temps)) == [0, -5, -10] == list(plan.temperatures_c)
    at_zero = [(step.kind.value, step.exposure_s) for step in steps if step.temperature_c == 0]
    assert at_zero == [("bias", 0)] * 3 + [("dark", 60)] * 2 + [("dark", 300)] * 2
    assert len({step.step_id for step in steps}) == len(steps)
    sets = ladder((-10, 0, -5), (300, 60), darks=4, biases=3)
    more = shooting_plan(sets, equipment=Equipment(), camera=CameraSettings())
    assert {step.step_id for step in steps} < {step.step_id for step in more.steps()}
    assert more.plan_id == plan.plan_id


def test_darks_that_cover_the_subframe_that_is_shot_count(library: Library) -> None:
    fill(library)  # which do not say where on the sensor they lie

    def add_at(name: str, side: int, origin: int, kind: FrameKind) -> None:
        cards = (*INDI_CARDS, ("XORGSUBF", origin, ""), ("YORGSUBF", origin, ""))
        data = fits_bytes(np.full((side, side), 400, np.uint16), cards)
        library.add(data, stamp(name, kind=kind, exposure_s=120.0, sensor_temp_c=-10.0))

    for number in range(3):
        add_at(f"whole{number}", 160, 0, FrameKind.DARK)
        add_at(f"elsewhere{number}", 90, 0, FrameKind.DARK)
    add_at("part", 80, 40, FrameKind.LIGHT)
    report = plan_calibration(PLAN, library, now=NOW, sky_adu_s=SKY_ADU_S)
    assert of_kind(report, FrameKind.DARK).there == 3
