"""Which master fits, and the reasons given."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from library.cards import Card
from library.coverage import Coverage
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.matching import match
from library.store import Library
from library.tolerances import Tolerances
from library.writing import encode_image

LIGHT = FrameMeta(
    kind=FrameKind.LIGHT,
    width=100,
    height=80,
    camera="Cam",
    exposure_s=120.0,
    sensor_temp_c=-10.0,
    gain=120.0,
    offset=30.0,
    filter="L",
    read_mode="High",
)
_MASTER: dict[FrameKind, dict[str, Any]] = {
    FrameKind.DARK: {},
    FrameKind.BIAS: {"exposure_s": 0.0},
    FrameKind.FLAT: {"exposure_s": 2.0, "sensor_temp_c": 5.0},
    FrameKind.FLAT_DARK: {"exposure_s": 2.0},
}


def master(name: str, kind: FrameKind, **changes: Any) -> FrameRecord:
    values = {"kind": kind, "n_combined": 20, **_MASTER.get(kind, {}), **changes}
    meta = dataclasses.replace(LIGHT, **values)
    return FrameRecord(id=1, path=Path(name), sha256=name, size_bytes=1, meta=meta)


def light(**changes: Any) -> FrameMeta:
    return dataclasses.replace(LIGHT, **changes)


def test_a_full_set_fits_and_the_bias_is_not_subtracted_twice() -> None:
    records = [master(kind.value, kind) for kind in _MASTER]
    found = match(records, LIGHT)
    assert found.dark.record == records[0]
    assert found.dark.coverage is Coverage.EXACT
    assert found.dark.reasons == ("dark: 20 frames, +0.0 °C from the frame",)
    assert found.flat.record == records[2]
    assert found.bias.record is None
    assert found.bias.coverage is Coverage.NOT_NEEDED
    assert "twice" in found.bias.reasons[0]
    assert found.flat_dark.coverage is Coverage.NOT_NEEDED


def test_without_a_dark_the_bias_is_offered_and_says_what_it_leaves() -> None:
    bias = master("bias", FrameKind.BIAS)
    found = match([bias], LIGHT)
    assert (found.dark.coverage, found.flat.coverage) == (Coverage.MISSING, Coverage.MISSING)
    assert found.dark.reasons == ("there is no master dark",)
    assert (found.bias.record, found.bias.coverage) == (bias, Coverage.ACCEPTABLE)
    assert "a bias leaves the dark current in" in found.bias.reasons


HARD = [
    ("camera", {"camera": "Other"}, "camera Other, wanted Cam"),
    ("camera", {"camera": ""}, "camera unknown, wanted Cam"),
    ("size", {"width": 50}, "size 50×80, wanted 100×80"),
    ("binning", {"binning": (2, 2)}, "binning 2×2, wanted 1×1"),
    ("gain", {"gain": 0.0}, "gain 0, wanted 120"),
    ("gain", {"gain": None}, "gain unknown, wanted 120"),
    ("offset", {"offset": 10.0}, "offset 10, wanted 30"),
    ("offset", {"offset": None}, "offset unknown, wanted 30"),
    ("read mode", {"read_mode": "Low"}, "read mode Low, wanted High"),
]


@pytest.mark.parametrize(("_name", "changes", "reason"), HARD)
@pytest.mark.parametrize("kind", [FrameKind.DARK, FrameKind.FLAT])
def test_a_hard_key_rules_out_and_is_named(
    _name: str, changes: dict[str, Any], reason: str, kind: FrameKind
) -> None:
    found = match([master("m", kind, **changes)], LIGHT)
    answer = found.dark if kind is FrameKind.DARK else found.flat
    assert answer.record is None
    assert answer.coverage is Coverage.INCOMPATIBLE
    assert answer.reasons == (f"m: {reason}",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sensor_temp_c": -8.5}, "temperature -8.5 °C, wanted -10.0 °C ± 1 °C"),
        ({"sensor_temp_c": None, "set_temp_c": None}, "temperature unknown, wanted -10.0 °C"),
        ({"exposure_s": 60.0}, "exposure 60 s, wanted 120 s ± 1.2 s"),
        ({"exposure_s": None}, "exposure unknown, wanted 120 s"),
    ],
)
def test_a_dark_keeps_its_tolerances(changes: dict[str, Any], reason: str) -> None:
    answer = match([master("m", FrameKind.DARK, **changes)], LIGHT).dark
    assert not answer.usable
    assert answer.fitting is None
    assert reason in answer.reasons[-1]


def test_the_near_misses_are_told_nearest_first_and_not_all() -> None:
    far = [master(f"far{i}", FrameKind.DARK, gain=0.0, exposure_s=1.0) for i in range(9)]
    near = master("near", FrameKind.DARK, gain=0.0)
    reasons = match([*far, near], LIGHT).dark.reasons
    assert len(reasons) == 5
    assert reasons[0] == "near: gain 0, wanted 120"
    assert reasons[1] == "far0: gain 0, wanted 120; exposure 1 s, wanted 120 s ± 1.2 s"


def test_unknown_on_both_sides_is_the_same() -> None:
    unknown: dict[str, Any] = {"gain": None, "offset": None, "read_mode": None, "sensor_temp_c": None}
    answer = match([master("m", FrameKind.DARK, **unknown)], light(**unknown)).dark
    assert answer.coverage is Coverage.EXACT


@pytest.mark.parametrize(
    ("wanted", "found", "note"),
    [
        ({}, {"read_mode": None}, "read mode is known of the frame only"),
        ({}, {"bayer_pattern": "RGGB"}, "Bayer pattern is known of the master only"),
    ],
)
def test_what_is_known_on_one_side_is_said(wanted: dict[str, Any], found: dict[str, Any], note: str) -> None:
    answer = match([master("m", FrameKind.DARK, **found)], light(**wanted)).dark
    assert answer.coverage is Coverage.ACCEPTABLE
    assert answer.reasons[1:] == (note,)


def test_the_set_point_stands_in_for_a_sensor_that_does_not_tell() -> None:
    record = master("m", FrameKind.DARK, sensor_temp_c=None, set_temp_c=-10.0)
    assert match([record], LIGHT).dark.record == record


@pytest.mark.parametrize(("filter_name", "fits"), [("L", True), ("R", False), (None, False)])
def test_a_flat_has_its_filter(filter_name: str | None, fits: bool) -> None:
    record = master("m", FrameKind.FLAT, filter=filter_name)
    assert (match([record], LIGHT).flat.record == record) is fits


def test_a_flat_gets_its_flat_dark_or_a_dark_of_its_exposure_or_the_bias() -> None:
    flat = light(kind=FrameKind.FLAT, exposure_s=2.0)
    dark = master("dark", FrameKind.DARK, exposure_s=2.0)
    flat_dark = master("flat dark", FrameKind.FLAT_DARK)
    bias = master("bias", FrameKind.BIAS)
    assert match([dark, bias, flat_dark], flat).flat_dark.record == flat_dark
    assert match([dark, bias], flat).flat_dark.record == dark
    assert match([dark, bias], flat).bias.coverage is Coverage.NOT_NEEDED
    found = match([master("long", FrameKind.DARK), bias], flat)
    assert found.flat_dark.coverage is Coverage.INCOMPATIBLE
    assert (found.bias.record, found.bias.coverage) == (bias, Coverage.EXACT)
    assert found.flat.coverage is found.dark.coverage is Coverage.NOT_NEEDED


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({"sensor_temp_c": -10.8, "n_combined": 99}, {"sensor_temp_c": -10.3}),
        ({"exposure_s": 121.0, "n_combined": 99}, {"exposure_s": 120.0}),
        ({"n_combined": 5, "date_obs": datetime(2026, 5, 1, tzinfo=UTC)}, {"n_combined": 20}),
        ({"date_obs": datetime(2025, 1, 1, tzinfo=UTC)}, {"date_obs": datetime(2026, 1, 1, tzinfo=UTC)}),
        ({}, {"date_obs": datetime(2026, 1, 1, tzinfo=UTC)}),
    ],
)
def test_of_those_that_fit_the_nearest_then_the_deepest_then_the_newest(
    worse: dict[str, Any], better: dict[str, Any]
) -> None:
    records = [master("a", FrameKind.DARK, **worse), master("b", FrameKind.DARK, **better)]
    assert match(records, LIGHT).dark.record == records[1]


@pytest.mark.parametrize(
    ("wanted", "found", "reason"),
    [
        ({"telescope": "RC8"}, {"telescope": "FSQ"}, "telescope FSQ, wanted RC8"),
        (
            {"focal_length_mm": 530.0},
            {"focal_length_mm": 400.0},
            "focal length 400 mm, wanted 530 mm ± 10.6 mm",
        ),
        ({"rotator_deg": 359.5}, {"rotator_deg": 1.0}, "rotator 1.0°, wanted 359.5° ± 1°"),
        ({"rotator_deg": 10.0}, {"rotator_deg": 190.0}, "rotator 190.0°, wanted 10.0° ± 1°"),
        ({"origin": None}, {"origin": (64, 0)}, "origin 64, 0, wanted 0, 0"),
        (
            {"date_obs": datetime(2026, 6, 1, tzinfo=UTC)},
            {"date_obs": datetime(2026, 1, 1, tzinfo=UTC)},
            "151 days between them, at most 90 wanted",
        ),
    ],
)
def test_a_flat_is_of_the_same_optics_and_of_its_time(
    wanted: dict[str, Any], found: dict[str, Any], reason: str
) -> None:
    miss = match([master("m", FrameKind.FLAT, **found)], light(**wanted)).flat.near_misses[0]
    assert miss.ruled_out_by == (reason,)


def test_the_rotator_goes_round_and_a_half_turn_may_count_as_none() -> None:
    flat = master("m", FrameKind.FLAT, rotator_deg=359.6)
    assert match([flat], light(rotator_deg=0.4)).flat.usable
    assert not match([flat], light(rotator_deg=179.9)).flat.usable
    flipped = match([flat], light(rotator_deg=179.9), tolerances=Tolerances(rotator_half_turn=True))
    assert flipped.flat.usable


def test_of_flats_the_nearest_in_time_counts_before_the_deepest() -> None:
    night = datetime(2026, 3, 1, 22, tzinfo=UTC)
    before = master("before", FrameKind.FLAT, date_obs=night - timedelta(days=40), n_combined=99)
    same_night = master("same", FrameKind.FLAT, date_obs=night + timedelta(hours=7))
    assert match([before, same_night], light(date_obs=night)).flat.record == same_night


def test_what_is_the_same_in_every_field_counts_before_what_is_nearer() -> None:
    silent = master("silent", FrameKind.DARK, read_mode=None, n_combined=99)
    exact = master("exact", FrameKind.DARK, sensor_temp_c=-9.8)
    assert match([silent, exact], LIGHT).dark.record == exact


def test_a_dark_of_another_temperature_is_offered_and_never_usable() -> None:
    warm, warmer = (master(str(t), FrameKind.DARK, sensor_temp_c=t) for t in (-5.0, 0.0))
    bias = master("bias", FrameKind.BIAS)
    found = match([warmer, warm, bias], LIGHT)
    assert (found.dark.coverage, found.dark.record, found.dark.usable) == (Coverage.TEMPERATURE, warm, False)
    assert found.dark.fitting is None
    assert (found.bias.fitting, found.bias.coverage) == (bias, Coverage.ACCEPTABLE)
    assert [miss.record for miss in found.dark.near_misses] == [warmer]


MODEL: dict[str, Any] = {"temp_range_c": (-20.0, 0.0), "exposure_range_s": (10.0, 300.0)}


@pytest.mark.parametrize(
    ("wanted", "verdicts", "told"),
    [
        ({}, {"sensor_temp_c": "same", "exposure_s": "same"}, None),
        (
            {"sensor_temp_c": 3.0},
            {"sensor_temp_c": "outside"},
            "temperature 3.0 °C is outside -20.0 °C to 0.0 °C",
        ),
        ({"exposure_s": 400.0}, {"exposure_s": "outside"}, "exposure 400 s is outside 10 s to 300 s"),
        ({"sensor_temp_c": 9.0}, None, "temperature 9.0 °C is outside -20.0 °C to 0.0 °C"),
        ({"exposure_s": 900.0}, None, "exposure 900 s is outside 10 s to 300 s"),
        ({"gain": 0.0}, None, "gain 120, wanted 0"),
    ],
)
def test_a_model_stands_in_within_its_range_and_a_little_outside(
    wanted: dict[str, Any], verdicts: dict[str, str] | None, told: str | None
) -> None:
    model = master("model", FrameKind.DARK_MODEL, **MODEL)
    answer = match([model], light(**wanted)).dark
    if verdicts is None:
        assert answer.coverage is Coverage.INCOMPATIBLE
        assert answer.near_misses[0].ruled_out_by == (told,)
        return
    assert (answer.coverage, answer.fitting) == (Coverage.MODELLED, model)
    assert {field.name: field.verdict for field in answer.fields}.items() >= verdicts.items()
    assert (told in answer.reasons) if told else (len(answer.reasons) == 1)


def test_a_dark_that_fits_is_taken_before_a_model_and_a_model_before_another_temperature() -> None:
    model = master("model", FrameKind.DARK_MODEL, **MODEL)
    near, far = (
        master("near", FrameKind.DARK, sensor_temp_c=-9.5),
        master("far", FrameKind.DARK, sensor_temp_c=0.0),
    )
    assert match([model, near, far], LIGHT).dark.record == near
    assert match([model, far], LIGHT).dark.record == model
    assert match([model, far], LIGHT).bias.coverage is Coverage.NOT_NEEDED


def test_a_retired_master_is_a_near_miss_that_says_so() -> None:
    record = dataclasses.replace(
        master("m", FrameKind.DARK), retired_at=datetime(2026, 1, 1, tzinfo=UTC), retired_because="light leak"
    )
    answer = match([record], LIGHT).dark
    assert (answer.record, answer.coverage) == (None, Coverage.INCOMPATIBLE)
    assert answer.near_misses[0].ruled_out_by == ("retired: light leak",)


def test_a_defect_map_of_the_nearest_temperature() -> None:
    maps = [master(str(t), FrameKind.DEFECTS, sensor_temp_c=t) for t in (0.0, -15.0)]
    answer = match(maps, LIGHT).defects
    assert (answer.record, answer.coverage) == (maps[1], Coverage.ACCEPTABLE)
    assert match([], LIGHT).defects.reasons == ("there is no defect map",)


def test_a_calibration_frame_itself_is_not_calibrated() -> None:
    found = match([master("m", FrameKind.DARK)], light(kind=FrameKind.DARK))
    assert {answer.coverage for answer in (found.dark, found.bias, found.flat)} == {Coverage.NOT_NEEDED}


def test_a_library_notices_what_another_process_did_to_its_masters(tmp_path: Path) -> None:
    cards: list[Card] = [("IMAGETYP", "Master Bias", ""), ("NCOMBINE", 9, ""), ("INSTRUME", "Cam", "")]
    frame = FrameMeta(kind=FrameKind.LIGHT, width=36, height=24, camera="Cam")
    with Library.open(tmp_path) as ours, Library.open(tmp_path) as theirs:
        assert match(ours, frame).bias.coverage is Coverage.MISSING
        path = PurePosixPath("masters/Cam/BIAS.fits")
        put = theirs.put_master(path, encode_image(np.zeros((24, 36), np.float32), cards))
        assert match(ours, frame).bias.record == put
        put.path.unlink()
        theirs.reconcile()
        assert match(ours, frame).bias.coverage is Coverage.MISSING
