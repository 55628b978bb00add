"""Each program's own header conventions, as read in their sources and in files that users have published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from library.cards import Card
from library.frames import FrameKind
from library.importing.take import Imported, Outcome, take_in
from library.keywords import known_kind, says_master
from library.store import Library
from library.writing import write_image

NINA: dict[str, Any] = {
    "EXPOSURE": 30.0, "EXPTIME": 30.0, "DATE-LOC": "2021-03-02T21:19:00.455",
    "DATE-OBS": "2021-03-02T20:19:00.455", "XBINNING": 1, "YBINNING": 1, "GAIN": 120, "OFFSET": 30,
    "EGAIN": 1.00224268436432, "INSTRUME": "ZWO ASI294MC Pro", "SET-TEMP": -10.0, "CCD-TEMP": -10.0,
    "BAYERPAT": "RGGB", "XBAYROFF": 0, "YBAYROFF": 0,
    "ROWORDER": "TOP-DOWN", "SWCREATE": "N.I.N.A. 1.10.2.90",
}  # fmt: skip
EKOS: dict[str, Any] = {
    "INSTRUME": "ZWO CCD ASI1600MM Pro", "EXPTIME": 60.0, "CCD-TEMP": -20.0, "XBINNING": 2, "YBINNING": 2,
    "FRAME": "Dark", "IMAGETYP": "Dark Frame", "DATE-OBS": "2020-04-13T04:02:34.447", "GAIN": 200.0,
    "OFFSET": 50.0,
}  # fmt: skip
CCDCIEL: dict[str, Any] = {
    "FRAME": "Bias    ", "CAMERA": "QHY268M", "EXPTIME": 0.001, "CCD-TEMP": -5.0, "GAIN": 56, "OFFSET": 25,
    "SWCREATE": "CCDciel 0.9", "DATE-OBS": "2024-01-01T20:00:00.000",
}  # fmt: skip
ASIAIR: dict[str, Any] = {
    "CREATOR": "ZWO ASIAIR Plus", "OFFSET": 10, "FOCALLEN": 247, "SET-TEMP": -10, "XBINNING": 1, "CCDXBIN": 1,
    "IMAGETYP": "Flat", "EXPOSURE": 1.5, "EXPTIME": 1.5, "CCD-TEMP": -10.0, "GAIN": 111, "BAYERPAT": "RGGB",
    "DATE-OBS": "2025-09-08T02:46:15.614262", "INSTRUME": "ZWO ASI183MC Pro", "TELESCOP": "EQMod Mount",
}  # fmt: skip
MAXIM: dict[str, Any] = {
    "DATE-OBS": "2018-07-04T14:03:03", "EXPTIME": 300.0, "EXPOSURE": 300.0, "SET-TEMP": -35.0,
    "CCD-TEMP": -34.99380225, "READOUTM": "Monochrome", "FILTER": "SII", "IMAGETYP": "Light Frame",
    "OBJECT": "m17", "INSTRUME": "Apogee USB/Net", "DATE": "04/07/18", "TIME-OBS": "14:03:03",
    "PEDESTAL": -100, "CALSTAT": "BDF", "XORGSUBF": 0, "YORGSUBF": 0,
}  # fmt: skip
CCDSOFT: dict[str, Any] = {
    "DATE-OBS": "2017-09-08T22:48:01.984", "TIME-OBS": "22:48:01.984", "SET-TEMP": -5.0,
    "IMAGETYP": "Flat Field",
    "XBINNING": 1, "CCD-TEMP": -5.23215684599, "TEMPERAT": -5.23215684599, "EGAIN": 2.06, "E-GAIN": 2.06,
    "INSTRUME": "SBIG STL-1001 3 CCD Camera", "FILTER": "Visible", "EXPTIME": 23.0, "FOCALLEN": 0.0,
}  # fmt: skip
SHARPCAP: dict[str, Any] = {
    "SWCREATE": "SharpCap", "CCD-TEMP": 12.7, "XBINNING": 1, "YBINNING": 1, "EXPTIME": 2,
    "DATE-OBS": "2019-04-29T20:25:29.8219583", "INSTRUME": "ZWO ASI290MM Mini",
}  # fmt: skip
DWARF: dict[str, Any] = {
    "DATE-OBS": "2023-06-10T21:38:19.442", "EXP": 15.0, "GAIN": 110, "BINNING": "2*2", "OBJECT": "        ",
    "BAYERPAT": "GBRG", "TELESCOP": "DWARFII", "INSTRUME": "DWARFII",
}  # fmt: skip
SIRIL: dict[str, Any] = {
    "IMAGETYP": "Dark Frame", "INSTRUME": "ZWO ASI294MC Pro", "EXPTIME": 120.0, "LIVETIME": 2400.0,
    "STACKCNT": 20, "GAIN": 120, "OFFSET": 30, "CCD-TEMP": -10.0, "PROGRAM": "Siril 1.2.0",
}  # fmt: skip
APP: dict[str, Any] = {
    "CALFRAME": "MasterFlat", "INSTRUME": "ZWO ASI294MC Pro", "EXPTIME": 1.28, "GAIN": 120.0, "NUMFRAME": 30,
    "SOFTWARE": "Astro Pixel Processor by Aries Productions",
}  # fmt: skip
PIXINSIGHT: dict[str, Any] = {
    "IMAGETYP": "Master Dark", "INSTRUME": "ZWO ASI2600MM Pro", "EXPTIME": 300.0, "GAIN": 100,
    "CCD-TEMP": -10.0, "HISTORY": "ImageIntegration.numberOfImages: 60",
}  # fmt: skip

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nina light": (NINA | {"IMAGETYP": "LIGHT"}, {"kind": "light", "gain": 120, "bayer_pattern": "RGGB"}),
    "nina flat-dark": (NINA | {"IMAGETYP": "DARKFLAT"}, {"kind": "flat_dark", "exposure_s": 30}),
    "nina snapshot": (NINA | {"IMAGETYP": "SNAPSHOT"}, {"kind": "light"}),
    "ekos dark": (EKOS, {"kind": "dark", "binning": (2, 2), "offset": 50, "sensor_temp_c": -20}),
    "ccdciel bias": (CCDCIEL, {"kind": "bias", "camera": "QHY268M", "gain": 56}),
    "asiair flat": (ASIAIR, {"kind": "flat", "set_temp_c": -10, "focal_length_mm": 247}),
    "maxim light": (MAXIM, {"kind": "light", "filter": "SII", "read_mode": "Monochrome", "origin": (0, 0)}),
    "ccdsoft flat": (CCDSOFT, {"kind": "flat", "focal_length_mm": None, "egain_e_per_adu": 2.06}),
    "sharpcap": (SHARPCAP, {"kind": "light", "exposure_s": 2, "sensor_temp_c": 12.7}),
    "dwarf": (DWARF, {"kind": "light", "exposure_s": 15, "binning": (2, 2), "object_name": None}),
    "siril master": (SIRIL, {"kind": "dark", "n_combined": 20, "exposure_s": 120}),
    "app master": (APP, {"kind": "flat", "n_combined": 30}),
    "pixinsight master": (PIXINSIGHT, {"kind": "dark", "n_combined": 60}),
    "no sensor": (EKOS | {"CCD-TEMP": -273.15}, {"sensor_temp_c": None}),
    "kelvin": (EKOS | {"CCD-TEMP": 271.0}, {"sensor_temp_c": -2.15}),
    "zone": (EKOS | {"DATE-OBS": "2017-12-19T18:33:43-0700"}, {"night": "2017-12-20T01:33:43+00:00"}),
}  # fmt: skip


def cards(header: dict[str, Any]) -> list[Card]:
    return [(key, value, "") for key, value in header.items()]


def write(path: Path, header: dict[str, Any], *, seed: int = 0, pixels: Any = None) -> Path:
    if pixels is None:
        pixels = np.random.default_rng(seed).integers(0, 65536, (12, 16)).astype(np.uint16)
    write_image(path, pixels, cards(header))
    return path


def take_one(library: Library, path: Path, **options: Any) -> Imported:
    (imported,) = take_in(library, [path], **options)
    return imported


@pytest.mark.parametrize("case", CASES)
def test_the_header_of_every_program_is_understood(case: str, tmp_path: Path) -> None:
    header, wanted = CASES[case]
    path = write(tmp_path / "frame.fits", header)
    with Library.open(tmp_path / "root") as library:
        imported = take_one(library, path)
        assert imported.outcome is Outcome.TAKEN, imported.reason
        assert imported.meta is not None
        (record,) = library.find()
        assert record.meta == imported.meta
        for name, value in wanted.items():
            if name == "night":
                assert record.meta.date_obs is not None
                assert record.meta.date_obs.isoformat() == value
            else:
                assert getattr(record.meta, name) == value, name
        below = record.path.relative_to(library.folder).parts[0]
        assert below == ("masters" if "master" in case else "frames")


@pytest.mark.parametrize(
    ("text", "kind", "is_master"),
    [
        ("Light Frame", FrameKind.LIGHT, False),
        ("LIGHT", FrameKind.LIGHT, False),
        ("object", FrameKind.LIGHT, False),
        ("Tricolor Image", FrameKind.LIGHT, False),
        ("Master Light", FrameKind.LIGHT, True),
        ("zero", FrameKind.BIAS, False),
        ("masterBias", FrameKind.BIAS, True),
        ("MasterDark", FrameKind.DARK, True),
        ("Dark Flat Frame", FrameKind.FLAT_DARK, False),
        ("FlatDark", FrameKind.FLAT_DARK, False),
        ("Integrated Flat", FrameKind.FLAT, True),
        ("SKYFLAT", FrameKind.FLAT, False),
        ("SNAPSHOT", None, False),
        ("comp", None, False),
    ],
)
def test_kinds_in_the_fields_spellings(text: str, kind: FrameKind | None, is_master: bool) -> None:
    assert known_kind(text) is kind
    assert says_master(text) is is_master


def test_what_is_odd_is_told(tmp_path: Path) -> None:
    with Library.open(tmp_path / "root") as library:
        told = {
            name: " ".join(take_one(library, write(tmp_path / file, header, seed=seed)).notes)
            for seed, (name, file, header) in enumerate(
                [
                    ("no kind", "a.fits", SHARPCAP),
                    ("unknown kind", "b.fits", NINA | {"IMAGETYP": "SNAPSHOT"}),
                    ("calibrated", "c.fits", MAXIM),
                    ("name against header", "flat-001.fit", NINA | {"IMAGETYP": "Light Frame"}),
                    ("no count", "d.fits", SIRIL | {"IMAGETYP": "Master Dark", "STACKCNT": 1}),
                    ("no gain", "e.fits", CCDSOFT | {"IMAGETYP": "Dark Frame"}),
                ]
            )
        }
    assert "counted as light" in told["no kind"]
    assert "'SNAPSHOT' is no kind that is known" in told["unknown kind"]
    assert "CALSTAT BDF" in told["calibrated"]
    assert "speaks of a flat" in told["name against header"]
    assert "of how many frames" in told["no count"]
    assert "no GAIN" in told["no gain"]


@pytest.mark.parametrize(
    ("name", "header", "reason"),
    [
        ("Dark_001.fits", SHARPCAP, "--set IMAGETYP=dark"),
        ("MasterFlat.fits", SHARPCAP, "--set IMAGETYP=flat"),
        ("a.fits", {"IMAGETYP": "Dark Frame", "INSTRUME": "x"}, "--set EXPTIME"),
        ("a.fits", {"IMAGETYP": "Flat Field", "EXPTIME": 1.0}, "--set CAMERA"),
    ],
)
def test_what_lacks_what_it_needs_is_refused_with_the_remedy(
    name: str, header: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with Library.open(tmp_path / "root") as library:
        imported = take_one(library, write(tmp_path / name, header))
        assert imported.outcome is Outcome.REFUSED
        assert reason in str(imported.reason)
        assert not library.find()


def test_floats_of_zero_to_one_are_read_as_adu_without_a_changed_pixel(tmp_path: Path) -> None:
    from library.reading import read_frame

    pixels = np.linspace(0.01, 0.4, 192, dtype=np.float32).reshape(12, 16)
    path = write(tmp_path / "m.fits", PIXINSIGHT, pixels=pixels)
    with Library.open(tmp_path / "root") as library:
        imported = take_one(library, path)
        assert imported.path is not None
        assert "ADU × 65535" in " ".join(imported.filled)
        np.testing.assert_allclose(read_frame(imported.path).pixels, pixels * 65535, rtol=1e-6)
        assert pixels.astype(">f4").tobytes() in imported.path.read_bytes()
