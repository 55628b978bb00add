"""Plans: what they expand to, that ids hold, and what is said of a bad one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquire.errors import PlanError
from acquire.plan import Calibration, CameraSettings, Lights, Options, Plan, Target, plan_to_dict
from acquire.plan_file import plan_from_dict, read_plan

names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12)
seconds = st.floats(0.001, 3600, allow_nan=False)
plans = st.builds(
    Plan,
    name=names,
    lights=st.lists(
        st.builds(Lights, filter=st.none() | names, exposure_s=seconds, count=st.integers(1, 7)),
        min_size=1,
        max_size=5,
    ).map(tuple),
    camera=st.builds(
        CameraSettings,
        gain=st.none() | st.floats(0, 500),
        binning=st.integers(1, 4),
        temperature_c=st.none() | st.floats(-40, 20),
    ),
    target=st.none() | st.builds(Target, name=names, ra_deg=st.floats(0, 359.9), dec_deg=st.floats(-90, 90)),
    calibration=st.builds(
        Calibration,
        when=st.sampled_from(["before", "after"]),
        bias=st.integers(0, 3),
        dark=st.integers(0, 3),
        flat=st.integers(0, 3),
        flat_dark=st.integers(0, 2),
        flat_exposure_s=seconds,
    ),
    options=st.builds(Options, order=st.sampled_from(["interleave", "by_filter"]), retries=st.integers(0, 5)),
)

PLAN = """
name = "Double Cluster, LRGB"
[equipment]
camera = "firstlight CCD"
[camera]
gain = 120
temperature_c = -10
[target]
name = "NGC 869"
ra = "02h20m"
dec = "+57d08m"
[[lights]]
filter = "L"
exposure_s = 60
count = 3
[[lights]]
filter = "R"
exposure_s = 30
count = 2
[calibration]
bias = 2
dark = 1
flat = 1
flat_exposure_s = 2.5
"""


@given(plans)
def test_a_plan_survives_its_file(plan: Plan) -> None:
    again = plan_from_dict(json.loads(json.dumps(plan_to_dict(plan))))
    assert again == plan
    assert again.plan_id == plan.plan_id


@given(plans)
def test_every_frame_is_there_once_under_its_own_id(plan: Plan) -> None:
    steps = list(plan.steps())
    ids = [step.step_id for step in steps]
    assert len(set(ids)) == len(ids)
    assert ids == [step.step_id for step in plan.steps()]
    lights = sum(line.count for line in plan.lights)
    made = plan.calibration
    exposures = {line.exposure_s for line in plan.lights}
    filters = {line.filter for line in plan.lights}
    calibration = made.bias + made.dark * len(exposures) + made.flat * len(filters) + made.flat_dark
    assert len(steps) == lights + calibration
    assert all("/" not in step_id and " " not in step_id for step_id in ids)


@given(plans, st.data())
def test_lines_count_what_is_done(plan: Plan, data: st.DataObject) -> None:
    ids = [step.step_id for step in plan.steps()]
    done = data.draw(st.sets(st.sampled_from(ids)))
    lines = plan.lines(done)
    assert sum(line.wanted for line in lines) == len(ids)
    assert sum(line.done for line in lines) == len(done)
    assert all(0 <= line.done <= line.wanted for line in lines)


@given(plans, plans)
def test_ids_tell_plans_apart(one: Plan, other: Plan) -> None:
    def matters(plan: Plan) -> list[object]:
        camera = plan.camera
        settings = (camera.gain, camera.offset, camera.binning, camera.temperature_c)
        return [plan.name, plan.target, plan.equipment, settings]

    assert (matters(one) == matters(other)) == (one.plan_id == other.plan_id)


def test_a_plan_may_be_extended_and_goes_on_where_it_was() -> None:
    plan = Plan(name="a", lights=(Lights(filter="L", exposure_s=60, count=3),))
    longer = replace(
        plan,
        lights=(Lights(filter="L", exposure_s=60, count=5),),
        options=Options(retries=9, order="by_filter"),
    )
    assert longer.plan_id == plan.plan_id
    done = {step.step_id for step in plan.steps()}
    assert [line.done for line in longer.lines(done)] == [3]


def test_the_order_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    plan = read_plan(path)
    assert [step.step_id for step in plan.steps()] == [
        "bias-001",
        "bias-002",
        "dark-60s-001",
        "dark-30s-001",
        "flat-L-2.5s-001",
        "flat-R-2.5s-001",
        "light-L-60s-001",
        "light-R-30s-001",
        "light-L-60s-002",
        "light-R-30s-002",
        "light-L-60s-003",
    ]
    assert plan.target is not None
    assert (plan.target.ra_deg, plan.target.dec_deg) == pytest.approx((35.0, 57 + 8 / 60))


def test_the_id_of_a_plan_is_the_same_on_every_machine() -> None:
    plan = Plan(name="a", lights=(Lights(filter="L", exposure_s=60, count=1),))
    assert plan.plan_id == "fa44c3f3b4f1"


def test_by_filter_finishes_one_before_the_next() -> None:
    lights = (Lights(filter="L", exposure_s=1, count=2), Lights(filter="R", exposure_s=1, count=1))
    plan = Plan(
        name="x",
        lights=lights,
        options=Options(order="by_filter"),
        calibration=Calibration(when="after", bias=1),
    )
    assert [step.filter for step in plan.steps()] == ["L", "L", "R", None]


def _with(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "lights": [{"exposure_s": 1, "count": 1}]} | changes


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "name: is missing"),
        ({"name": "x"}, "nothing to shoot"),
        (_with(lighs=[]), 'lighs: no such key; did you mean "lights"?'),
        (_with(camera={"gian": 1}), '[camera] gian: no such key; did you mean "gain"?'),
        (_with(camera={"gain": "high"}), "[camera] gain: must be a number at least 0, not 'high'"),
        (_with(camera={"gain": True}), "[camera] gain: must be a number"),
        (_with(camera={"binning": 0}), "[camera] binning: must be a whole number from 1 to 16, not 0"),
        (_with(camera=7), "[camera] must be a section"),
        (_with(lights={}), "must be [[lights]] sections"),
        (_with(lights=[{"exposure_s": 1, "count": 1}, {"count": 2}]), "number 2: exposure_s: is missing"),
        (_with(lights=[{"exposure_s": float("nan"), "count": 1}]), "exposure_s: must be a number"),
        (_with(lights=[{"exposure_s": 1, "count": 1.5}]), "count: must be a whole number"),
        (_with(target={"name": "M 31", "ra": "26h", "dec": 41}), "[target] ra: must be degrees"),
        (_with(target={"name": "M 31", "ra": 1, "dec": "41h"}), "in hours"),
        (_with(calibration={"when": "during"}), '"before" or "after", not \'during\''),
        (_with(calibration={"flat": 3}), "flat_exposure_s: is missing"),
        ({"name": "x", "calibration": {"dark": 3, "bias": 1}}, "lights: are missing"),
        (_with(options={"retries": -1}), "[options] retries"),
        (_with(equipment={"camera": ""}), "[equipment] camera: must be text"),
    ],
)
def test_a_bad_plan_names_file_key_and_remedy(table: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan_from_dict(table, "night.toml")
    assert str(caught.value).startswith("night.toml: ")
    assert said in str(caught.value)


def test_python_is_checked_as_files_are() -> None:
    with pytest.raises(PlanError, match="exposure_s: must be a number"):
        Lights(exposure_s=-1, count=1)


def test_files_that_are_no_plans(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no such file"):
        read_plan(tmp_path / "none.toml")
    with pytest.raises(PlanError, match="cannot be read"):
        read_plan(tmp_path)
    for content in (b"name = ", b"\xff\xfe\x00", b"name = " + b"[" * 5000, b"name = " + b"9" * 5000):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(PlanError, match="is not TOML"):
            read_plan(tmp_path / "bad.toml")


def test_a_whole_number_without_end_is_no_exposure() -> None:
    with pytest.raises(PlanError, match="exposure_s: must be a number"):
        Lights(exposure_s=10**400, count=1)
