"""XISF, TIFF and tile-compressed files: every pixel and every keyword comes through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from library.frames import FrameKind
from library.importing.source import read_source
from library.importing.take import How, Outcome
from library.reading import read_frame
from library.store import Library
from tests.library.test_import_headers import take_one

KEYWORDS: dict[str, list[dict[str, str]]] = {
    "SIMPLE": [{"value": "T", "comment": ""}],
    "IMAGETYP": [{"value": "'LIGHT'", "comment": "Type of exposure"}],
    "EXPTIME": [{"value": "30.0", "comment": ""}],
    "INSTRUME": [{"value": "'ZWO ASI294MC Pro'", "comment": ""}],
    "OBJECT": [{"value": "'7000'", "comment": "a name of digits"}],
    "ROWORDER": [{"value": "'BOTTOM-UP'", "comment": "of the file it was before"}],
    "COMMENT": [{"value": "", "comment": "one"}, {"value": "", "comment": "two"}],
}


def write_xisf(path: Path, pixels: Any, keywords: Any = None, properties: Any = None, **options: Any) -> Path:
    from xisf import XISF

    metadata = {
        "FITSKeywords": KEYWORDS if keywords is None else keywords,
        "XISFProperties": properties or {},
    }
    XISF.write(str(path), pixels, image_metadata=metadata, **options)
    return path


@pytest.mark.parametrize(
    ("dtype", "planes", "codec"),
    [
        ("uint8", 1, None), ("uint16", 1, None), ("uint16", 3, "lz4"), ("uint16", 1, "zlib"),
        ("uint32", 1, None), ("float32", 1, "zstd"), ("float32", 3, None), ("float64", 1, None),
    ],
)  # fmt: skip
def test_xisf_keeps_every_pixel(codec: str | None, dtype: str, planes: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    shape = (9, 14, planes)
    whole = np.issubdtype(dtype, np.integer)
    pixels = (
        rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
        if whole
        else 1e3 * rng.random(shape).astype(dtype)
    )
    path = write_xisf(tmp_path / "a.xisf", pixels, codec=codec, shuffle=codec is not None)
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, path)
        assert taken.outcome is Outcome.TAKEN, taken.reason
        with fits.open(taken.path) as hdus:
            stored = hdus[0].data
            assert stored.dtype.newbyteorder("=") == np.dtype(dtype)
            np.testing.assert_array_equal(
                stored, pixels[..., 0] if planes == 1 else np.moveaxis(pixels, -1, 0)
            )


def test_xisf_keywords_come_along(tmp_path: Path) -> None:
    path = write_xisf(tmp_path / "a.xisf", np.ones((4, 5, 1), np.uint16))
    source = read_source(path)
    assert source.unit.values["OBJECT"] == "7000"
    assert source.unit.values["EXPTIME"] == 30.0
    assert source.unit.values["ROWORDER"] == "TOP-DOWN"
    assert [raw for raw in source.unit.raw_cards if raw.startswith(b"COMMENT")] == [
        b"COMMENT one".ljust(80), b"COMMENT two".ljust(80),
    ]  # fmt: skip
    assert (source.meta.kind, source.meta.camera, source.meta.width) == (
        FrameKind.LIGHT,
        "ZWO ASI294MC Pro",
        5,
    )


def test_xisf_properties_stand_in_for_keywords(tmp_path: Path) -> None:
    properties = {
        name: {"id": name, "type": kind, "value": value}
        for name, kind, value in [
            ("Instrument:Camera:Name", "String", "QHY600M"),
            ("Instrument:ExposureTime", "Float32", 300.0),
            ("Instrument:Sensor:Temperature", "Float32", -9.5),
            ("Instrument:Telescope:FocalLength", "Float32", 0.53),
            ("Instrument:Camera:XBinning", "Int32", 2),
        ]
    }
    path = write_xisf(tmp_path / "a.xisf", np.ones((4, 5, 1), np.uint16), {}, properties)
    meta = read_source(path).meta
    assert (meta.camera, meta.exposure_s, meta.sensor_temp_c, meta.binning) == ("QHY600M", 300, -9.5, (2, 2))
    assert meta.focal_length_mm == pytest.approx(530)


def test_pixinsights_masters_of_zero_to_one_become_adu(tmp_path: Path) -> None:
    keywords = {
        "IMAGETYP": [{"value": "'Master Dark'", "comment": ""}],
        "EXPTIME": [{"value": "300", "comment": ""}],
        "INSTRUME": [{"value": "'QHY600M'", "comment": ""}],
        "HISTORY": [{"value": "", "comment": "ImageIntegration.numberOfImages: 60"}],
    }
    pixels = np.linspace(0.001, 0.02, 20, dtype=np.float32).reshape(4, 5, 1)
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, write_xisf(tmp_path / "masterDark.xisf", pixels, keywords))
        assert taken.path is not None
        assert taken.meta is not None
        assert (taken.meta.kind, taken.meta.n_combined) == (FrameKind.DARK, 60)
        assert taken.path.is_relative_to(library.folder / "masters")
        np.testing.assert_allclose(read_frame(taken.path).pixels, pixels[..., 0] * 65535, rtol=1e-6)


def test_xisf_and_fits_of_one_exposure_are_one_frame(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 65536, (6, 7), dtype=np.uint16)
    header = fits.Header([("DATE-OBS", "2026-01-01T20:00:00"), ("IMAGETYP", "LIGHT"), ("INSTRUME", "x")])
    fits.PrimaryHDU(pixels, header).writeto(tmp_path / "a.fits")
    keywords = {key: [{"value": f"'{value}'", "comment": ""}] for key, value in header.items()}
    write_xisf(tmp_path / "a.xisf", pixels[..., None], keywords)
    with Library.open(tmp_path / "root") as library:
        assert take_one(library, tmp_path / "a.fits").outcome is Outcome.TAKEN
        assert take_one(library, tmp_path / "a.xisf").outcome is Outcome.HERE


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_keeps_every_pixel(dtype: Any, tmp_path: Path) -> None:
    pixels = (np.random.default_rng(2).random((8, 11)) * 250).astype(dtype)
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, tmp_path / "a.tif")
        assert taken.path is not None
        read = read_frame(taken.path)
        np.testing.assert_array_equal(read.pixels, pixels)
        assert read.pixels.dtype == dtype
        assert read.header["ROWORDER"] == "TOP-DOWN"


def test_exif_becomes_keywords(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[272] = "Canon EOS 6D"
    exif.get_ifd(34665).update({33434: 30.0, 34855: 800})
    exif[34665] = 0  # Pillow writes an IFD whose tag is there
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "a.tif", exif=exif)
    meta = read_source(tmp_path / "a.tif").meta
    assert (meta.camera, meta.exposure_s, meta.gain) == ("Canon EOS 6D", 30, 800)


@pytest.mark.parametrize("extension", [".xisf", ".tif"])
def test_what_is_no_fits_cannot_be_linked(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{extension}"
    if extension == ".tif":
        Image.fromarray(np.zeros((4, 4), np.uint16)).save(path)
    else:
        write_xisf(path, np.ones((4, 5, 1), np.uint16))
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, path, how=How.LINK)
        assert taken.outcome is Outcome.REFUSED
        assert "--copy" in str(taken.reason)


def test_a_tile_compressed_file_stays_compressed(tmp_path: Path) -> None:
    pixels = np.random.default_rng(4).integers(0, 4000, (40, 50), dtype=np.uint16)
    header = fits.Header([("IMAGETYP", "Light Frame"), ("INSTRUME", "x"), ("EXPTIME", 5.0)])
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, header)]).writeto(tmp_path / "a.fits.fz")
    stored = fits.getdata(tmp_path / "a.fits.fz", 1, disable_image_compression=True).tobytes()
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, tmp_path / "a.fits.fz")
        assert taken.path is not None
        assert taken.path.name.endswith(".fits.fz")
        np.testing.assert_array_equal(read_frame(taken.path).pixels, pixels)
        assert stored in taken.path.read_bytes()
        assert take_one(library, tmp_path / "a.fits.fz").outcome is Outcome.HERE
