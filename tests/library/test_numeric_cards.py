"""What others write for a number, a filter, what was done to a frame: read rightly, or unknown and said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from library.cards import CARD, Card, CardValue, parse_card
from library.filter_names import filter_name
from library.importing.rules import setting
from library.importing.take import Outcome, take_in
from library.keywords import calibrated, frame_meta, row_order, unread
from library.numeric_cards import (
    CELSIUS,
    COUNT,
    DEGREES,
    ELECTRONS_PER_ADU,
    GAIN,
    LEVEL,
    MICROMETRES,
    MILLIMETRES,
    SECONDS,
    Quantity,
    number,
)
from library.store import Library
from library.writing import write_image


@pytest.mark.parametrize(
    ("text", "quantity", "value"),
    [
        ("0,5", SECONDS, 0.5),
        ("1/60", SECONDS, 1 / 60),
        (" 1/60 s ", SECONDS, 1 / 60),
        ("60 s", SECONDS, 60.0),
        ("60sec.", SECONDS, 60.0),
        ("500 ms", SECONDS, 0.5),
        ("250 µs", SECONDS, 250e-6),
        ("5 min", SECONDS, 300.0),
        ("00:05:00", SECONDS, 300.0),
        ("1.234,5", SECONDS, 1234.5),
        ("1,234.5", SECONDS, 1234.5),
        ("1,000", SECONDS, 1.0),
        ("1.5D+02", SECONDS, 150.0),
        (".5", SECONDS, 0.5),
        ("5.", SECONDS, 5.0),
        ("-10,5", CELSIUS, -10.5),
        ("-10,5 °C", CELSIUS, -10.5),
        ("-10.5 degC", CELSIUS, -10.5),
        ("263.15 K", CELSIUS, -10.0),
        ("14 F", CELSIUS, -10.0),
        ("ISO 800", GAIN, 800.0),
        ("12,5 dB", GAIN, 12.5),
        ("30 ADU", LEVEL, 30.0),
        ("1,005 e-/ADU", ELECTRONS_PER_ADU, 1.005),
        ("0,53 m", MILLIMETRES, 530.0),
        ("530mm", MILLIMETRES, 530.0),
        ("3,76 um", MICROMETRES, 3.76),
        ("-12 30 00", DEGREES, -12.5),
        ("2 frames", COUNT, 2.0),
    ],
)
def test_numbers_as_people_write_them(text: str, quantity: Quantity, value: float) -> None:
    assert number(text, quantity) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    "value",
    [
        "", "  ", "none", "N/A", "nan", "inf", "1/0", "5 furlongs", "about 60", "1 2", "1e400", "2x2", "--",
        "1:30", None, True, False, float("nan"), float("inf"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_none_and_never_nought(value: CardValue) -> None:
    assert number(value, SECONDS) is None


@given(st.floats(-1e6, 1e6, allow_subnormal=False), st.sampled_from([".", ","]), st.sampled_from(["", " s"]))
def test_a_number_survives_either_decimal_mark(value: float, mark: str, unit: str) -> None:
    text = f"{value:.6f}".replace(".", mark) + unit
    assert number(text, SECONDS) == pytest.approx(value, abs=1e-6)


@given(st.text())
def test_no_text_however_odd_is_more_than_a_finite_number_or_none(text: str) -> None:
    found = number(text, SECONDS)
    assert found is None or np.isfinite(found)


def test_a_fraction_without_quotes_is_no_one_with_a_comment() -> None:
    assert parse_card(b"EXPTIME =                 1/60 / [s]".ljust(CARD)) == ("EXPTIME", "1/60", "[s]")
    assert parse_card(b"NAXIS   = 2/ axes".ljust(CARD)) == ("NAXIS", 2, "axes")


ODD: dict[str, CardValue] = {
    "EXPTIME": "0,5", "CCD-TEMP": "-10,5", "GAIN": "120,0", "OFFSET": "30", "XBINNING": "2",
    "FOCALLEN": "530,5", "EGAIN": "1,005", "XORGSUBF": "16", "YORGSUBF": "8", "NCOMBINE": "12",
    "ROTATANG": "12,5", "SET-TEMP": "-10",
}  # fmt: skip


def test_every_number_of_a_header_may_be_text() -> None:
    meta = frame_meta(ODD, 64, 48)
    assert (meta.exposure_s, meta.sensor_temp_c, meta.set_temp_c) == (0.5, -10.5, -10.0)
    assert (meta.gain, meta.offset, meta.binning) == (120.0, 30.0, (2, 2))
    assert (meta.focal_length_mm, meta.egain_e_per_adu, meta.rotator_deg) == (530.5, 1.005, 12.5)
    assert (meta.origin, meta.n_combined) == ((16, 8), 12)
    assert unread(ODD) == []


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"EXPTIME": "a minute"}, "EXPTIME 'a minute' cannot be read: its exposure is unknown"),
        ({"EXPTIME": ""}, "EXPTIME is empty: its exposure is unknown"),
        ({"EXPTIME": -1.0}, "an exposure of -1 s: it is unknown"),
        ({"GAIN": None}, "GAIN is empty: its gain is unknown"),
        ({"CCD-TEMP": "cold"}, "CCD-TEMP 'cold' cannot be read: its sensor temperature is unknown"),
        ({"XBINNING": "two"}, "XBINNING 'two' cannot be read: a binning of 1 is taken"),
        ({"YORGSUBF": "?"}, "YORGSUBF '?' cannot be read: where it lies on the sensor is unknown"),
    ],
)
def test_what_cannot_be_read_is_said(header: dict[str, CardValue], says: str) -> None:
    assert unread(header) == [says]
    meta = frame_meta(header, 4, 3)
    assert (meta.exposure_s, meta.gain, meta.sensor_temp_c, meta.origin) == (None, None, None, None)


def test_a_second_card_that_can_be_read_stands_in_and_nothing_is_said() -> None:
    header: dict[str, CardValue] = {"EXPTIME": "n/a", "EXPOSURE": "60 s"}
    assert (frame_meta(header, 4, 3).exposure_s, unread(header)) == (60.0, [])


def test_library_add_reads_text_and_says_what_it_cannot(tmp_path: Path) -> None:
    for name, exposure, temp in (("comma", "0,5", "-10,5"), ("part", "1/60", "-10.5"), ("odd", "long", "?")):
        cards: list[Card] = [("IMAGETYP", "Dark Frame", ""), ("INSTRUME", "Cam", ""), ("GAIN", 100, "")]
        cards += [("EXPTIME", exposure, ""), ("CCD-TEMP", temp, "")]
        write_image(tmp_path / f"{name}.fits", np.full((8, 8), len(name), np.uint16), cards)
    with Library.open(tmp_path / "root") as library:
        comma, odd, part = take_in(library, sorted(tmp_path.glob("*.fits")))
        assert comma.meta is not None
        assert part.meta is not None
        assert (comma.meta.exposure_s, comma.meta.sensor_temp_c) == (0.5, -10.5)
        assert part.meta.exposure_s == pytest.approx(1 / 60)
        assert part.meta.sensor_temp_c == -10.5
        assert odd.outcome is Outcome.REFUSED
        assert "EXPTIME 'long' cannot be read" in (odd.reason or "")


def test_a_value_that_the_user_supplies_is_written_as_a_number() -> None:
    assert setting("EXPTIME=0,5") == {"EXPTIME": 0.5}
    assert setting("GAIN=120") == {"GAIN": 120}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ({"FILTER": "Ha"}, "Ha"),
        ({"FILT-1": "Ha"}, "Ha"),
        ({"FILTER": "", "FILT-1": "OIII"}, "OIII"),
        ({"FILTER": None, "INSFLNAM": "R"}, "R"),
        ({"FILTNAM": "V"}, "V"),
        ({"FILTER": 3, "FILTNAME": "SII"}, "SII"),
        ({"FILTER": 3}, "3"),
        ({"FILTER1": "open", "FILTER2": "R"}, "R"),
        ({"FILTER2": "OG515", "FILTER1": "R"}, "R+OG515"),
        ({"FILTER1": "Clear", "FILTER2": "Clear"}, "Clear"),
        ({"ESO INS FILT1 NAME": "B"}, "B"),
        ({"FILTER": "Clear"}, "Clear"),
        ({"FILTER": "None", "FILT-1": "Ha"}, "Ha"),
        ({"FILTER": True}, None),
        ({}, None),
    ],
)
def test_a_filter_is_found_in_whichever_card(header: dict[str, CardValue], name: str | None) -> None:
    assert filter_name(header) == name
    assert frame_meta(header, 4, 3).filter == name


@pytest.mark.parametrize(
    ("header", "done"),
    [
        ({"CALSTAT": "BDF"}, "BDF"),
        ({"CALSTAT": "FD "}, "DF"),
        ({"CALSTAT": "BDFM"}, "BDF"),
        ({"CALSTAT": "Calibrated"}, ""),
        ({"CALSTAT": ""}, ""),
        ({"DARKCOR": "May 12 10:15 Dark correction image is d60"}, "D"),
        ({"ZEROCOR": True, "FLATCOR": "F"}, "B"),
        ({"L1STATBI": 1, "L1STATDA": 1, "L1STATFL": 0}, "BD"),
        ({}, ""),
    ],
)
def test_what_was_done_to_a_frame(header: dict[str, CardValue], done: str) -> None:
    assert calibrated(header) == done


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ({"ROWORDER": "TOP-DOWN"}, "TOP-DOWN"),
        ({"ROWORDER": "bottom_up"}, "BOTTOM-UP"),
        ({"ROWORDER": "sideways"}, None),
        ({}, None),
        # What we built before said TOP-DOWN of any frames.
        ({"ROWORDER": "TOP-DOWN", "SWCREATE": "firstlight", "IMAGETYP": "Master Dark"}, None),
        ({"ROWORDER": "TOP-DOWN", "SWCREATE": "firstlight", "IMAGETYP": "Dark Frame"}, "TOP-DOWN"),
        (
            {"ROWORDER": "BOTTOM-UP", "ROWSKEPT": True, "SWCREATE": "firstlight", "IMAGETYP": "Defect Map"},
            "BOTTOM-UP",
        ),
    ],
)
def test_row_order(header: dict[str, CardValue], rows: str | None) -> None:
    assert row_order(header) == rows
