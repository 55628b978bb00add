"""Headers: what is written strictly is read back, and what others wrote untidily is understood."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from library.cards import CARD, CardValue, format_card, parse_card, parse_cards
from library.frames import FrameKind, FrameMeta
from library.keywords import bayer_pattern, frame_kind, frame_meta, night_of, parse_date, temperature_c
from library.reading import read_meta

KEYWORDS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=1, max_size=8).filter(
    lambda keyword: keyword not in {"HISTORY", "COMMENT", "CONTINUE", "HIERARCH", "END"}
)
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))


@given(
    KEYWORDS,
    st.one_of(st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_a_number_comes_back_as_it_was(keyword: str, value: CardValue) -> None:
    card = format_card(keyword, value, "a comment")
    assert len(card) == CARD
    found = parse_card(card)
    assert found[:2] == (keyword, value)
    assert type(found[1]) is type(value)


@given(KEYWORDS, PRINTABLE)
def test_text_comes_back_but_for_trailing_blanks_and_what_no_card_holds(keyword: str, text: str) -> None:
    card = format_card(keyword, text)
    assert len(card) == CARD
    value = parse_card(card)[1]
    assert isinstance(value, str)
    assert text.startswith(value)
    if len(text.replace("'", "''")) <= 68:
        assert value == text.rstrip()


@given(st.text())
def test_any_text_becomes_a_legal_card(text: str) -> None:
    card = format_card("OBJECT", text, text)
    assert len(card) == CARD
    assert all(0x20 <= byte <= 0x7E for byte in card)


@given(st.binary(min_size=CARD, max_size=CARD))
def test_no_card_however_broken_stops_the_reading(raw: bytes) -> None:
    parse_cards([raw])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_fits_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        format_card("GAIN", value)


def test_untidy_cards_of_others_are_understood() -> None:
    raw = [
        b"EQUINOX = 2000.0 / free format",
        b"CCD-TEMP= -1.000000000000E+001",
        b"OBJECT  = 'M 27\0\0\0'",
        b"DSLR    =              1.5D+02",
        b"HIERARCH ESO DET NAME = 'X1' / long",
        b"QUOTED  = 'it''s / no comment' / a comment",
        b"EMPTY   =",
        b"GAIN    = 1",
        b"GAIN    = 2",
        b"LONG    = 'one &'",
        b"CONTINUE  'two&'",
        b"CONTINUE  'three'",
        b"HISTORY = 'not a value'",
    ]
    assert parse_cards(card.ljust(CARD) for card in raw) == {
        "EQUINOX": 2000.0,
        "CCD-TEMP": -10.0,
        "OBJECT": "M 27",
        "DSLR": 150.0,
        "ESO DET NAME": "X1",
        "QUOTED": "it's / no comment",
        "EMPTY": None,
        "GAIN": 1,
        "LONG": "one twothree",
    }


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Light Frame", FrameKind.LIGHT),
        ("LIGHT", FrameKind.LIGHT),
        ("object", FrameKind.LIGHT),
        ("", FrameKind.LIGHT),
        ("Dark", FrameKind.DARK),
        ("DARK FRAME", FrameKind.DARK),
        ("Master Dark", FrameKind.DARK),
        ("Flat Field", FrameKind.FLAT),
        ("SKYFLAT", FrameKind.FLAT),
        ("bias", FrameKind.BIAS),
        ("zero", FrameKind.BIAS),
        ("FlatDark", FrameKind.FLAT_DARK),
        ("DARKFLAT", FrameKind.FLAT_DARK),
        ("Dark Flat Frame", FrameKind.FLAT_DARK),
    ],
)
def test_kinds_in_any_spelling(text: str, kind: FrameKind) -> None:
    assert frame_kind(text) is kind


@pytest.mark.parametrize(
    ("value", "celsius"),
    [(None, None), (-10.0, -10.0), (263.15, -10.0), (-273.15, None), (0.0, 0.0), (35.0, 35.0)],
)
def test_temperatures(value: float | None, celsius: float | None) -> None:
    assert temperature_c(value) == (None if celsius is None else pytest.approx(celsius))


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2026-03-01T22:15:00.123", datetime(2026, 3, 1, 22, 15, 0, 123000, UTC)),
        ("2026-03-01T22:15:00.1234567", datetime(2026, 3, 1, 22, 15, 0, 123456, UTC)),
        ("2026-03-01T22:15:00Z", datetime(2026, 3, 1, 22, 15, tzinfo=UTC)),
        ("2017-12-19T18:33:43-0700", datetime(2017, 12, 20, 1, 33, 43, tzinfo=UTC)),
        ("31/12/98", datetime(1998, 12, 31, tzinfo=UTC)),
        ("yesterday", None),
        ("2026-13-01", None),
    ],
)
def test_dates(text: str, date: datetime | None) -> None:
    assert parse_date(text) == date


def test_a_night_keeps_one_date() -> None:
    def local(day: int, hour: int) -> datetime:
        return datetime(2026, 3, day, hour).astimezone()

    assert {
        night_of(local(1, 18)),
        night_of(local(1, 23)),
        night_of(local(2, 0)),
        night_of(local(2, 11)),
    } == {"2026-03-01"}
    assert night_of(local(2, 13)) == "2026-03-02"


PATTERNS = st.sampled_from(["RGGB", "BGGR", "GBRG", "GRBG"])


@given(PATTERNS, st.integers(-3, 3), st.integers(-3, 3), st.booleans(), st.integers(1, 100))
def test_the_pattern_is_that_of_the_stored_first_pixel(
    pattern: str, x: int, y: int, bottom_up: bool, height: int
) -> None:
    header: dict[str, CardValue] = {"BAYERPAT": pattern, "XBAYROFF": x, "YBAYROFF": y}
    if bottom_up:
        header["ROWORDER"] = "BOTTOM-UP"
    found = bayer_pattern(header, height)
    assert found is not None
    for row in range(2):
        for column in range(2):
            # the stored row's place in the picture, counted from the top
            from_top = height - 1 - row if bottom_up else row
            assert found[2 * row + column] == pattern[2 * ((from_top + y) % 2) + (column + x) % 2]


def test_what_the_header_does_not_say_is_not_known() -> None:
    assert frame_meta({}, 4, 3) == FrameMeta(kind=FrameKind.LIGHT, width=4, height=3)


def test_values_that_are_no_values() -> None:
    header: dict[str, CardValue] = {
        "EXPTIME": -1.0,
        "CCD-TEMP": -273.15,
        "GAIN": "none",
        "FILTER": "  ",
        "XBINNING": 0,
        "BAYERPAT": "None",
        "DATE-OBS": "0000-00-00",
        "OFFSET": True,
    }
    assert frame_meta(header, 4, 3) == FrameMeta(kind=FrameKind.LIGHT, width=4, height=3)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "calib_stl1001/darks-expos60s-Neg10-Vis.00000000.DARK.FIT.gz",
            {"kind": FrameKind.DARK, "exposure_s": 60.0, "sensor_temp_c": -10.203084, "set_temp_c": -10.0},
        ),
        ("calib_stl1001/bias-Neg10-Vis.00000000.BIAS.FIT.gz", {"kind": FrameKind.BIAS, "exposure_s": 0.0}),
        (
            "mono_hatp32/HATP-32171220013343.FITS.gz",
            {
                "sensor_temp_c": pytest.approx(-2.15),
                "date_obs": datetime(2017, 12, 20, 1, 33, 43, 317000, UTC),
                "exposure_s": 60.0,
            },
        ),
        ("focus_asi1600/ngc4535-autofocus1.fits.gz", {"gain": 200.0, "offset": 50.0, "binning": (2, 2)}),
        ("osc_m27_asi224mc/Light_1069.fits.gz", {"bayer_pattern": "RGGB", "width": 1304, "height": 976}),
        (
            "osc_ngc7023_seestar/Light_NGC_7023_10.0s_IRCUT_20240730-224448.fit.gz",
            {"bayer_pattern": "GRBG", "object_name": "NGC 7023"},
        ),
        ("misc/solved.fits.fz", {"width": 700, "exposure_s": 120.4, "sensor_temp_c": 13.0}),
    ],
)
def test_real_headers(realdata: Path, name: str, expected: dict[str, object]) -> None:
    meta = read_meta(realdata / name)
    assert {field: getattr(meta, field) for field in expected} == expected
