"""Laws of matching, on any set of masters: never an unfit one, no order matters, wider never means worse."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from library.coverage import Calibration, Coverage, Match, Verdict
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.matching import match
from library.tolerances import UNKNOWN_FITS, Tolerances
from tests.library.test_matching import light, master

NIGHT = datetime(2026, 3, 1, 22, tzinfo=UTC)
KINDS = [kind for kind in FrameKind if kind is not FrameKind.LIGHT]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "camera": st.sampled_from(["Cam", "cam ", "Other", ""]),
    "width": st.sampled_from([100, 50]),
    "origin": st.sampled_from([None, (0, 0), (8, 8)]),
    "gain": st.sampled_from([120.0, 0.0, None]),
    "offset": st.sampled_from([30.0, None]),
    "binning": st.sampled_from([(1, 1), (2, 2)]),
    "bayer_pattern": st.sampled_from([None, "RGGB", "BGGR"]),
    "read_mode": st.sampled_from([None, "High", "Low"]),
    "sensor_temp_c": st.sampled_from([None, -10.0, -9.4, -8.0, 20.0]),
    "exposure_s": st.sampled_from([None, 120.0, 120.9, 60.0, 0.0]),
    "filter": st.sampled_from([None, "L", "R"]),
    "telescope": st.sampled_from([None, "RC8", "FSQ"]),
    "focal_length_mm": st.sampled_from([None, 530.0, 533.0, 1600.0]),
    "rotator_deg": st.sampled_from([None, 0.3, 359.8, 90.0, 180.2]),
    "date_obs": st.sampled_from([None, NIGHT, NIGHT - timedelta(days=30), NIGHT - timedelta(days=500)]),
    "n_combined": st.sampled_from([1, 20, 50]),
    "noise_adu": st.sampled_from([None, 1.5]),
}
METAS: st.SearchStrategy[dict[str, Any]] = st.sets(st.sampled_from(sorted(VALUES)), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: VALUES[name] for name in sorted(names)})
)
"""Few fields differ, so that many masters fit, nearly."""

RECORDS = st.lists(
    st.tuples(st.sampled_from(KINDS), METAS, st.sampled_from([None, None, None, NIGHT])), max_size=12
).map(
    lambda items: [
        dataclasses.replace(master(f"{i:02}", kind, **changes), retired_at=retired)
        for i, (kind, changes, retired) in enumerate(items)
    ]
)
FRAMES = st.builds(
    lambda kind, changes: light(kind=kind, **changes),
    st.sampled_from([FrameKind.LIGHT, FrameKind.LIGHT, FrameKind.FLAT, FrameKind.DARK]),
    METAS,
)
HARD = ("width", "height", "binning", "gain", "offset")
LENGTHS = st.floats(0, 1000)
TOLERANCES = {
    field.name: LENGTHS
    for field in dataclasses.fields(Tolerances)
    if field.name not in {"unknown_fits", "rotator_half_turn"}
} | {"rotator_half_turn": st.booleans(), "unknown_fits": st.frozensets(st.sampled_from(sorted(UNKNOWN_FITS)))}


def answers(found: Calibration) -> list[Match]:
    return [found.dark, found.bias, found.flat, found.flat_dark, found.defects]


def is_hard_same(meta: FrameMeta, wanted: FrameMeta) -> bool:
    """The hard keys, said once more and independently."""
    texts = ((meta.camera, wanted.camera),)
    return (
        all(getattr(meta, key) == getattr(wanted, key) for key in HARD)
        and (meta.origin or (0, 0)) == (wanted.origin or (0, 0))
        and all(a.strip().lower() == b.strip().lower() for a, b in texts)
        and meta.read_mode in {None, wanted.read_mode}.union(() if wanted.read_mode else {meta.read_mode})
        and meta.bayer_pattern
        in {None, wanted.bayer_pattern}.union(() if wanted.bayer_pattern else {meta.bayer_pattern})
    )


@settings(deadline=None)
@given(RECORDS, FRAMES)
def test_no_set_of_masters_makes_it_choose_an_unfit_one(
    records: list[FrameRecord], wanted: FrameMeta
) -> None:
    found = match(records, wanted)
    assert not (found.dark.usable and found.bias.usable)
    for answer in answers(found):
        assert answer.reasons
        assert (answer.fitting is not None) == answer.usable
        if answer.record is None:
            continue
        meta = answer.record.meta
        assert answer.record.retired_at is None
        assert is_hard_same(meta, wanted)
        if answer.usable and meta.kind in {FrameKind.DARK, FrameKind.FLAT_DARK}:
            assert meta.sensor_temp_c == wanted.sensor_temp_c or (
                meta.sensor_temp_c is not None
                and wanted.sensor_temp_c is not None
                and abs(meta.sensor_temp_c - wanted.sensor_temp_c) <= 1.0
            )
            assert meta.exposure_s == wanted.exposure_s or (
                meta.exposure_s is not None
                and wanted.exposure_s is not None
                and abs(meta.exposure_s - wanted.exposure_s) <= max(0.05, 0.01 * wanted.exposure_s)
            )
        if meta.kind is FrameKind.FLAT:
            assert meta.filter == wanted.filter
            assert None in {meta.telescope, wanted.telescope} or meta.telescope == wanted.telescope
            if meta.rotator_deg is not None and wanted.rotator_deg is not None:
                turned = abs(meta.rotator_deg - wanted.rotator_deg) % 360
                assert min(turned, 360 - turned) <= 1.0
        if meta.date_obs and wanted.date_obs:
            assert abs((meta.date_obs - wanted.date_obs).days) <= 365


@settings(deadline=None)
@given(RECORDS, FRAMES)
def test_the_answer_says_the_same_in_all_its_parts(records: list[FrameRecord], wanted: FrameMeta) -> None:
    for answer in answers(match(records, wanted)):
        verdicts = {field.verdict for field in answer.fields}
        match answer.coverage:
            case Coverage.EXACT:
                assert verdicts == {Verdict.SAME}
            case Coverage.ACCEPTABLE | Coverage.MODELLED:
                assert Verdict.DIFFERS not in verdicts
            case Coverage.TEMPERATURE:
                differing = [field.name for field in answer.fields if field.verdict is Verdict.DIFFERS]
                assert differing == ["sensor_temp_c"]
            case _:
                assert answer.record is None
                assert not answer.fields
        assert all(miss.ruled_out_by for miss in answer.near_misses)
        assert answer.record not in [miss.record for miss in answer.near_misses]
        counts = [len(miss.ruled_out_by) for miss in answer.near_misses]
        assert all(a <= b for a, b in pairwise(counts))


@settings(deadline=None)
@given(RECORDS, FRAMES, st.randoms())
def test_the_choice_does_not_depend_on_the_order(
    records: list[FrameRecord], wanted: FrameMeta, random: Any
) -> None:
    shuffled = records.copy()
    random.shuffle(shuffled)
    assert match(shuffled, wanted) == match(records, wanted)


@settings(max_examples=200, deadline=None)
@given(RECORDS, FRAMES, st.sampled_from(sorted(TOLERANCES)), st.data())
def test_a_wider_tolerance_never_worsens_the_coverage(
    records: list[FrameRecord], wanted: FrameMeta, name: str, data: Any
) -> None:
    a, b = data.draw(TOLERANCES[name]), data.draw(TOLERANCES[name])
    if name == "unknown_fits":
        narrow, wide = a & b, a | b
    else:
        narrow, wide = sorted((a, b))
    others = data.draw(st.fixed_dictionaries({}, optional={k: v for k, v in TOLERANCES.items() if k != name}))
    best_first = [Coverage.NOT_NEEDED, *Coverage]
    before = match(records, wanted, tolerances=Tolerances(**others, **{name: narrow}))
    after = match(records, wanted, tolerances=Tolerances(**others, **{name: wide}))
    for tight, loose in zip(answers(before), answers(after), strict=True):
        assert best_first.index(loose.coverage) <= best_first.index(tight.coverage)


@settings(deadline=None)
@given(RECORDS, METAS)
def test_a_master_for_the_frame_itself_is_exact(records: list[FrameRecord], changes: dict[str, Any]) -> None:
    wanted = light(**changes)
    own = dataclasses.replace(
        master("own", FrameKind.DARK), meta=dataclasses.replace(wanted, kind=FrameKind.DARK, n_combined=9)
    )
    found = match([*records, own], wanted).dark
    assert found.coverage is Coverage.EXACT
    assert {field.name: field.wanted for field in found.fields}["gain"] == wanted.gain
