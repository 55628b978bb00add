"""ROWORDER: a field of matching, kept by what is built, and honoured where a master is applied."""

from __future__ import annotations

import dataclasses
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.applying import load
from firstlight.choices import used
from firstlight.choosing import choose
from library.cards import CardValue
from library.coverage import Coverage
from library.cutting import Extent
from library.dark_model import build_dark_models, synthesise_dark
from library.defects import build_defect_maps, read_defects
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.importing.take import take_in
from library.keywords import row_order_cards
from library.masters import build_masters
from library.matching import match
from library.mosaics import shifted
from library.reading import read_frame, read_meta
from library.store import Library
from library.writing import encode_image, write_image

TOP, BOTTOM = "TOP-DOWN", "BOTTOM-UP"
LIGHT = FrameMeta(
    kind=FrameKind.LIGHT,
    width=6,
    height=4,
    camera="Cam",
    exposure_s=60.0,
    gain=1.0,
    offset=1.0,
    row_order=TOP,
)


def dark(**changes: Any) -> FrameRecord:
    meta = dataclasses.replace(LIGHT, kind=FrameKind.DARK, n_combined=9, **changes)
    return FrameRecord(id=1, path=Path("d.fits"), sha256="d", size_bytes=1, meta=meta)


@pytest.mark.parametrize(
    ("of_dark", "of_light", "coverage", "says"),
    [
        ({"row_order": TOP}, {}, Coverage.EXACT, None),
        ({"row_order": None}, {"row_order": None}, Coverage.EXACT, None),
        ({"row_order": BOTTOM}, {}, Coverage.ACCEPTABLE, "turned over: its rows are BOTTOM-UP"),
        ({"row_order": None}, {}, Coverage.ACCEPTABLE, "row order is known of the frame only"),
        ({}, {"row_order": None}, Coverage.ACCEPTABLE, "row order is known of the master only"),
        ({"row_order": BOTTOM, "origin": (8, 0)}, {"origin": (8, 0)}, Coverage.ACCEPTABLE, "turned over"),
        # From which end the first row of a piece counts is not told.
        ({"row_order": BOTTOM, "origin": (0, 8)}, {"origin": (0, 8)}, Coverage.INCOMPATIBLE, "row order"),
        (
            {"row_order": BOTTOM, "origin": (0, 0), "width": 60, "height": 40},
            {"origin": (3, 2)},
            Coverage.INCOMPATIBLE,
            "row order BOTTOM-UP, wanted TOP-DOWN",
        ),
    ],
)
def test_matching(
    of_dark: dict[str, Any], of_light: dict[str, Any], coverage: Coverage, says: str | None
) -> None:
    found = match([dark(**of_dark)], dataclasses.replace(LIGHT, **of_light)).dark
    assert found.coverage is coverage
    assert says is None or any(says in reason for reason in found.reasons)


@pytest.mark.parametrize(("height", "turned"), [(4, "GBRG"), (5, "RGGB")])
def test_a_mosaic_is_compared_as_it_lies_once_it_is_turned_over(height: int, turned: str) -> None:
    light = dataclasses.replace(LIGHT, height=height, bayer_pattern="RGGB")
    same = {"row_order": BOTTOM, "height": height}
    fits = match([dark(bayer_pattern=turned, **same)], light).dark
    other = match([dark(bayer_pattern=shifted(turned, 0, 1), **same)], light).dark
    assert (fits.coverage, other.coverage) == (Coverage.ACCEPTABLE, Coverage.INCOMPATIBLE)


def test_a_master_that_need_not_be_turned_is_better() -> None:
    first, other = dark(row_order=BOTTOM), dark()
    other = dataclasses.replace(other, path=Path("z.fits"))
    assert match([first, other], LIGHT).dark.record == other


@given(st.sampled_from([TOP, BOTTOM, None]), st.sampled_from([TOP, BOTTOM, None]), st.integers(1, 6))
def test_a_piece_is_turned_over_where_both_are_known_and_differ(
    master: str | None, light: str | None, height: int
) -> None:
    pixels = np.arange(height * 3.0).reshape(height, 3)
    whole, frame = (
        Extent(width=3, height=height, origin=None, bayer_pattern=None, row_order=order)
        for order in (master, light)
    )
    differ = {master, light} == {TOP, BOTTOM}
    np.testing.assert_array_equal(frame.piece(pixels, whole), pixels[::-1] if differ else pixels)


@given(
    st.sampled_from([TOP, BOTTOM, None]),
    st.sampled_from(["RGGB", "BGGR", "GBRG", "GRBG", None]),
    st.integers(2, 5),
)
def test_what_is_built_reads_as_its_frames_did(
    tmp_path_factory: pytest.TempPathFactory, order: str | None, pattern: str | None, height: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "m.fits"
    cards = [card for card in row_order_cards(order, pattern, height) if card[1] is not None]
    write_image(
        path,
        np.zeros((height, 4), np.float32),
        [("IMAGETYP", "Master Dark", ""), *cards, ("SWCREATE", "firstlight", "")],
    )
    meta = read_meta(path)
    assert (meta.row_order, meta.bayer_pattern) == (order, pattern)


SHAPE = (96, 64)


def write(path: Path, kind: str, order: str | None, seed: int) -> Path:
    """A frame whose amp glow, hot pixel and vignetting are at its top."""
    rng = np.random.default_rng(seed)
    y, _ = np.mgrid[: SHAPE[0], : SHAPE[1]]
    level = {
        "Bias": 200.0,
        "Dark": 200 + 400 * np.exp(-y / 20),
        "Flat": 200 + 20_000 * (0.6 + 0.4 * y / SHAPE[0]),
    }
    picture = rng.normal(level.get(kind, 700.0), 4, SHAPE)
    if kind == "Dark":
        picture[45, 7] += 30_000
    header: dict[str, CardValue] = {
        "IMAGETYP": f"{kind} Frame", "INSTRUME": "Cam", "GAIN": 100, "OFFSET": 5, "CCD-TEMP": -10.0,
        "EXPTIME": {"Bias": 0.0, "Flat": 1.0}.get(kind, 60.0), "FILTER": "L",
    }  # fmt: skip
    header |= {} if order is None else {"ROWORDER": order}
    stored = picture if order != BOTTOM else picture[::-1]
    write_image(path, np.rint(stored).astype(np.uint16), [(key, value, "") for key, value in header.items()])
    return path


@pytest.fixture(params=[BOTTOM, TOP, None])
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A library of frames whose rows lie so, with all that is built of them."""
    files = [
        write(tmp_path / f"{kind}{seed}.fits", kind, request.param, seed)
        for kind in ("Bias", "Dark", "Flat")
        for seed in range(3)
    ]
    with Library.open(tmp_path / "root") as opened:
        assert all(each.reason is None for each in take_in(opened, files))
        build_masters(opened, on_refused=pytest.fail)
        build_defect_maps(opened)
        build_dark_models(opened)
        yield opened, request.param


def test_masters_maps_and_models_keep_it_and_serve_lights_of_either(library: Any, tmp_path: Path) -> None:
    opened, order = library
    masters = opened.find(master=True)
    assert {record.meta.kind for record in masters} == set(FrameKind) - {FrameKind.LIGHT, FrameKind.FLAT_DARK}
    assert {record.meta.row_order for record in masters} == {order}
    for light_order in (TOP, BOTTOM):
        light = write(tmp_path / f"{light_order}.fits", "Light", light_order, 9)
        meta = read_meta(light)
        _, choices = choose(opened, meta)
        made = load(used(choices), Extent.of(meta))
        assert made.pedestal_adu is not None
        assert made.response is not None
        assert made.defects is not None
        turned = order is not None and light_order != order
        assert all(("turned over" in " ".join(x.reasons)) == turned for x in choices if x.path is not None)
        is_top = light_order == TOP if order is not None else True
        top, bottom = (slice(0, 8), slice(-8, None)) if is_top else (slice(-8, None), slice(0, 8))
        assert np.median(made.pedestal_adu[top]) > np.median(made.pedestal_adu[bottom]) + 200
        assert np.median(made.response[top]) < 0.8 * np.median(made.response[bottom])
        hot = (45 if is_top else SHAPE[0] - 46) * SHAPE[1] + 7
        assert hot in made.defects.places


def test_building_again_does_nothing(library: Any) -> None:
    opened, _ = library
    assert build_masters(opened) == build_defect_maps(opened) == build_dark_models(opened) == []


def test_a_synthesised_dark_keeps_its_model_s(library: Any, tmp_path: Path) -> None:
    opened, order = library
    (model,) = opened.find(kind=FrameKind.DARK_MODEL)
    assert read_meta(synthesise_dark(model.path, 30.0, -10.0, tmp_path)).row_order == order


def test_frames_of_two_orders_make_two_masters(tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{order}{seed}.fits", "Dark", order, seed)
        for order in (TOP, BOTTOM)
        for seed in (1, 2)
    ]
    with Library.open(tmp_path / "root") as library:
        list(take_in(library, files))
        built = build_masters(library, on_refused=pytest.fail)
        assert {(each.meta.row_order, each.meta.n_combined) for each in built} == {(TOP, 2), (BOTTOM, 2)}
        one, other = (read_frame(each.path).pixels for each in built)
        np.testing.assert_allclose(one, other[::-1], atol=1e-3)


def test_what_was_built_before_is_not_believed_and_built_anew(tmp_path: Path) -> None:
    """Masters said TOP-DOWN whatever their frames said."""
    files = [write(tmp_path / f"{seed}.fits", "Dark", BOTTOM, seed) for seed in (1, 2)]
    with Library.open(tmp_path / "root") as library:
        list(take_in(library, files))
        (built,) = build_masters(library)
        frame = read_frame(built.path)
        old = {**frame.header, "ROWORDER": TOP}
        del old["ROWSKEPT"]
        skipped = ("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "FRAMEID")
        cards = [(key, value, "") for key, value in old.items() if key not in skipped]
        cards.append(("FRAMEID", "master-of-another-recipe", ""))
        path = PurePosixPath(built.path.relative_to(library.folder))
        library.put_master(path, encode_image(frame.pixels, cards))
        (record,) = library.find(master=True)
        assert record.meta.row_order is None
        (again,) = build_masters(library)
        assert again.meta.row_order == BOTTOM
        light = dataclasses.replace(read_meta(files[0]), kind=FrameKind.LIGHT)
        assert match(library, light).dark.record == again


def test_a_defect_map_is_turned_over(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{seed}.fits", "Dark", BOTTOM, seed) for seed in range(3)]
    with Library.open(tmp_path / "root") as library:
        list(take_in(library, files))
        (built,) = build_defect_maps(library)
        flags = read_defects(built.path)
        light = dataclasses.replace(Extent.of(built.meta), row_order=TOP)
        assert flags[SHAPE[0] - 46, 7] == light.piece(flags, Extent.of(built.meta))[45, 7] != 0
