"""A light that is a part of the sensor is calibrated by masters that cover it as by those of its size."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from library.coverage import Coverage, Match, Verdict
from library.cutting import Extent
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.masters import build_masters
from library.matching import match
from library.reading import read_frame
from library.store import Library
from tests.library.frames import INDI_CARDS, fits_bytes, stamp
from tests.library.test_matching import light, master
from tui.cli import main

WHOLE: dict[str, Any] = {"width": 4656, "height": 3520, "origin": (0, 0)}
PART: dict[str, Any] = {"width": 1000, "height": 800, "origin": (1201, 900)}
KINDS = [FrameKind.DARK, FrameKind.BIAS, FrameKind.FLAT, FrameKind.DEFECTS]


def answer(kind: FrameKind, records: list[FrameRecord], frame: FrameMeta) -> Match:
    found = match(records, frame)
    answers = {
        FrameKind.DARK: found.dark,
        FrameKind.BIAS: found.bias,
        FrameKind.FLAT: found.flat,
        FrameKind.DEFECTS: found.defects,
    }
    return answers[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_master_that_covers_the_light_fits_and_says_that_it_is_cut(kind: FrameKind) -> None:
    found = answer(kind, [master("m", kind, **WHOLE)], light(**PART))
    assert found.usable
    assert found.coverage is Coverage.ACCEPTABLE
    assert "cut from 4656×3520" in found.reasons
    assert not [reason for reason in found.reasons if "origin" in reason]
    verdicts = {field.name: field.verdict for field in found.fields}
    assert (verdicts["size"], verdicts["origin"]) == (Verdict.CUT, Verdict.CUT)


def test_a_dark_model_is_cut_too() -> None:
    ranges: dict[str, Any] = {"temp_range_c": (-20.0, 0.0), "exposure_range_s": (10.0, 300.0)}
    found = match([master("m", FrameKind.DARK_MODEL, **WHOLE, **ranges)], light(**PART)).dark
    assert found.coverage is Coverage.MODELLED
    assert "cut from 4656×3520" in found.reasons


def test_a_flat_that_is_a_part_has_its_pedestal_cut() -> None:
    flat = dataclasses.replace(light(**PART), kind=FrameKind.FLAT, exposure_s=2.0)
    found = match([master("fd", FrameKind.FLAT_DARK, **WHOLE), master("b", FrameKind.BIAS, **WHOLE)], flat)
    assert "cut from 4656×3520" in found.flat_dark.reasons
    assert "cut from 4656×3520" in match([master("b", FrameKind.BIAS, **WHOLE)], flat).bias.reasons


@pytest.mark.parametrize(
    ("whole", "part", "reason"),
    [
        (WHOLE, {"origin": (4000, 900)}, "size 4656×3520, wanted 1000×800"),
        (WHOLE, {"origin": (1201, 2721)}, "origin 0, 0, wanted 1201, 2721"),
        (WHOLE, {"origin": (-1, 0)}, "origin 0, 0, wanted -1, 0"),
        ({**WHOLE, "origin": (1202, 0)}, {}, "origin 1202, 0, wanted 1201, 900"),
        (WHOLE, {"origin": None}, "size 4656×3520, wanted 1000×800"),
        ({**WHOLE, "origin": None}, {}, "size 4656×3520, wanted 1000×800"),
        ({**WHOLE, "width": 999, "height": 800, "origin": (1201, 900)}, {}, "size 999×800, wanted 1000×800"),
        ({**PART, "origin": (1200, 900)}, {}, "origin 1200, 900, wanted 1201, 900"),
        ({**WHOLE, "binning": (2, 2)}, {}, "binning 2×2, wanted 1×1"),
        ({**WHOLE, "gain": 0.0}, {}, "gain 0, wanted 120"),
    ],
)
def test_one_that_does_not_cover_it_or_might_not_does_not_fit(
    whole: dict[str, Any], part: dict[str, Any], reason: str
) -> None:
    found = match([master("m", FrameKind.DARK, **whole)], light(**(PART | part))).dark
    assert found.coverage is Coverage.INCOMPATIBLE
    assert reason in found.reasons[0]


def test_an_origin_that_is_told_is_not_taken_for_one_that_is_not() -> None:
    """0, 0 and nothing at all are one setting among masters of one size, and two where one is to be cut."""
    silent = master("a silent", FrameKind.DARK, **{**WHOLE, "origin": None}, n_combined=90)
    told = master("told", FrameKind.DARK, **WHOLE)
    for records in ([silent, told], [told, silent]):
        assert match(records, light(**PART)).dark.record == told


def test_of_equals_the_one_of_the_light_s_own_frame_is_taken() -> None:
    whole, exact = master("a", FrameKind.DARK, **WHOLE), master("b", FrameKind.DARK, **PART)
    found = match([whole, exact], light(**PART)).dark
    assert (found.record, found.coverage) == (exact, Coverage.EXACT)
    newer = dataclasses.replace(whole.meta, date_obs=None)
    assert match([dataclasses.replace(whole, meta=newer), exact], light(**PART)).dark.record == exact


@pytest.mark.parametrize(
    "worse", [{"sensor_temp_c": -10.2}, {"sensor_temp_c": -9.5}, {"n_combined": 5}, {"read_mode": None}]
)
def test_otherwise_the_better_one_though_it_is_cut(worse: dict[str, Any]) -> None:
    whole, exact = master("a", FrameKind.DARK, **WHOLE), master("b", FrameKind.DARK, **(PART | worse))
    assert match([whole, exact], light(**PART)).dark.record == whole


@given(
    st.tuples(st.integers(-6, 6), st.integers(-6, 6)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from(["RGGB", "BGGR", "GBRG", "GRBG"]),
)
@settings(deadline=None)
def test_the_piece_is_just_what_the_light_sees(
    away: tuple[int, int], size: tuple[int, int], pattern: str
) -> None:
    """Against a sensor whose every pixel knows its place and its colour."""
    places = np.arange(40 * 50).reshape(40, 50)
    colours = np.array(list("RGGB")).reshape(2, 2)[np.ix_(np.arange(40) % 2, np.arange(50) % 2)]
    whole: dict[str, Any] = {"width": 9, "height": 7, "origin": (11, 12)}
    part: dict[str, Any] = {"width": size[0], "height": size[1], "origin": (11 + away[0], 12 + away[1])}
    metas = []
    for frame, own in ((whole, None), (part, pattern)):
        (x, y), width, height = frame["origin"], frame["width"], frame["height"]
        corner = "".join(colours[y : y + 2, x : x + 2].ravel())
        metas.append((slice(y, y + height), slice(x, x + width), own or corner, corner))
    (rows, columns, own_pattern, _), (part_rows, part_columns, _, true_pattern) = metas
    seen = set(places[part_rows, part_columns].ravel().tolist())
    covered = seen <= set(places[rows, columns].ravel().tolist())
    record = master("m", FrameKind.DARK, **whole, bayer_pattern=own_pattern)
    wanted = light(**part, bayer_pattern=pattern)
    fits = match([record], wanted).dark.usable
    assert fits == (covered and pattern == true_pattern)
    piece = Extent.of(wanted).piece(places[rows, columns], Extent.of(record.meta))
    if covered:
        np.testing.assert_array_equal(piece, places[part_rows, part_columns])


# -- through the library's doors ---------------------------------------------------------------------


def add(library: Library, frame_id: str, pixels: Any, origin: tuple[int, int], **changes: Any) -> FrameRecord:
    cards = (*INDI_CARDS, ("XORGSUBF", origin[0], ""), ("YORGSUBF", origin[1], ""))
    return library.add(fits_bytes(pixels, cards), stamp(frame_id, **changes))


def test_library_match_tells_what_it_is_cut_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Library.open(tmp_path) as library:
        add(library, "d", np.full((60, 80), 300, np.uint16), (0, 0), kind=FrameKind.DARK)
        build_masters(library)
        part = add(library, "l", np.full((20, 30), 500, np.uint16), (13, 7))
        beyond = add(library, "b", np.full((20, 30), 500, np.uint16), (51, 7))
    assert main(["library", "match", str(part.path), "--root", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "cut from 80×60" in said
    assert main(["library", "match", str(part.path), "--json", "--root", str(tmp_path)]) == 0
    fields = {each["name"]: each for each in json.loads(capsys.readouterr().out)["dark"]["fields"]}
    assert fields["size"] == {"name": "size", "wanted": "30×20", "found": "80×60", "verdict": "cut"}
    assert main(["library", "match", str(beyond.path), "--root", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "size 80×60, wanted 30×20" in said
    assert "cut" not in said


def test_flats_of_a_part_lose_the_piece_of_a_whole_bias(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    bias = rng.integers(200, 900, (60, 80))  # a pattern, so that no other piece would do
    response = np.linspace(0.5, 1.0, 30) * np.ones((20, 1))
    with Library.open(tmp_path) as library:
        add(library, "b", bias.astype(np.uint16), (0, 0), kind=FrameKind.BIAS, exposure_s=0.0)
        flat = (bias[7:27, 13:43] + 20_000 * response).round().astype(np.uint16)
        add(library, "f", flat, (13, 7), kind=FrameKind.FLAT, exposure_s=2.0)
        built = build_masters(library, on_refused=pytest.fail)
        (made,) = (each for each in built if each.meta.kind is FrameKind.FLAT)
        assert (made.meta.origin, made.meta.width) == ((13, 7), 30)
        np.testing.assert_allclose(read_frame(made.path).pixels, response / response.mean(), rtol=2e-4)
