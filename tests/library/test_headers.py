"""The stamp goes into the header, and the pixel bytes stay the bytes that came."""

from __future__ import annotations

import gzip
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from library.cards import BLOCK, Card, format_card
from library.errors import NotAFitsFileError
from library.frames import FrameKind
from library.headers import stamp_fits
from library.reading import find_image, read_frame
from tests.library.frames import INDI_CARDS, fits_bytes, stamp


def stamped(data: bytes, **changes: Any) -> bytes:
    return b"".join(stamp_fits(data, stamp(**changes)).buffers)


def pixel_bytes(data: bytes) -> bytes:
    return data[find_image(BytesIO(data)).data_start :]


@settings(deadline=None)
@given(
    extra=st.integers(0, 120),
    name=st.text(max_size=100) | st.none(),
    gain=st.floats(-1e12, 1e12) | st.none(),
    kind=st.sampled_from(FrameKind),
)
def test_pixel_bytes_stay_and_the_stamp_is_read_back(
    extra: int, name: str | None, gain: float | None, kind: FrameKind
) -> None:
    cards: tuple[Card, ...] = tuple((f"CARD{i}", i, "") for i in range(extra))
    data = fits_bytes(cards=INDI_CARDS + cards)
    result = stamp_fits(data, stamp(object_name=name, gain=gain, kind=kind))
    whole = b"".join(result.buffers)
    assert len(whole) % BLOCK == 0
    assert pixel_bytes(whole) == pixel_bytes(data)
    with fits.open(BytesIO(whole)) as hdus:
        hdus.verify("exception")
        header = hdus[0].header
        assert all(header[keyword] == value for keyword, value, _ in cards)
        assert header["FRAMEID"] == "f1"
        assert header.get("GAIN") == gain
    meta = result.meta
    assert (meta.kind, meta.gain, meta.exposure_s) == (kind, gain, 30.0)
    assert (meta.plan_id, meta.step_id, meta.frame_id) == ("p1", "0001", "f1")
    assert (meta.filter, meta.read_mode, meta.offset, meta.set_temp_c) == ("L", "High Gain", 30.0, -10.0)


def test_stamping_twice_changes_nothing() -> None:
    once = stamped(fits_bytes())
    assert stamped(once) == once


def test_what_the_device_knows_better_is_kept() -> None:
    meta = stamp_fits(fits_bytes(), stamp(sensor_temp_c=-3.0, camera="another name", gain=None)).meta
    assert (meta.sensor_temp_c, meta.camera, meta.gain) == (-10.0, "CCD Simulator", None)


def test_what_the_device_left_out_is_filled_in() -> None:
    data = fits_bytes(cards=(("INSTRUME", "", ""),))
    meta = stamp_fits(data, stamp(sensor_temp_c=-3.0, camera="Cam")).meta
    assert (meta.sensor_temp_c, meta.camera) == (-3.0, "Cam")


def test_repeated_continued_and_stale_cards_go() -> None:
    data = fits_bytes(
        cards=(
            ("FILTER", "Red &", ""),
            ("CONTINUE", "  'and long'", ""),
            ("EXPTIME", 1.0, ""),
            ("EXPTIME", 2.0, ""),
            ("CHECKSUM", "2iI65Z962fG62Z96", ""),
            ("GAIN", 5, ""),
        )
    ).replace(b"CONTINUE= '  ''and long'''", b"CONTINUE  'and long'      ")
    assert b"CONTINUE  'and" in data
    with fits.open(BytesIO(stamped(data))) as hdus:
        names = list(hdus[0].header)
    assert names.count("EXPTIME") == names.count("FILTER") == names.count("GAIN") == 1
    assert not {"CHECKSUM", "CONTINUE"} & set(names)
    assert names.index("FILTER") < names.index("EXPTIME") < names.index("GAIN") < names.index("FRAMEID")


@pytest.mark.fitsverify
@pytest.mark.parametrize("packed", [False, True])
def test_fitsverify_finds_nothing(tmp_path: Path, packed: bool) -> None:
    data = fits_bytes()
    if packed:
        hdu = fits.CompImageHDU(np.arange(600, dtype=np.uint16).reshape(20, 30), compression_type="RICE_1")
        hdu.header["DATASUM"], hdu.header["CHECKSUM"] = "0", "0000000000000000"
        del hdu.header["DATASUM"], hdu.header["CHECKSUM"]
        buffer = BytesIO()
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(buffer, checksum=True)
        data = buffer.getvalue()
    path = tmp_path / ("a.fits.fz" if packed else "a.fits")
    path.write_bytes(stamped(data, object_name="Größe\n'naïve' 星雲" * 9, filter="Hα\x00", read_mode="a'b"))
    assert "verification OK" in verdict(path)
    meta = read_frame(path).meta
    assert (meta.frame_id, meta.filter, meta.gain) == ("f1", "H??", 120.0)


@pytest.mark.realdata
def test_a_real_compressed_frame_keeps_its_pixels(realdata: Path, tmp_path: Path) -> None:
    source = realdata / "misc" / "solved.fits.fz"
    (tmp_path / "a.fits.fz").write_bytes(stamped(source.read_bytes()))
    mine, theirs = read_frame(tmp_path / "a.fits.fz"), read_frame(source)
    np.testing.assert_array_equal(mine.pixels, theirs.pixels)
    assert mine.meta.frame_id == "f1"


@pytest.mark.realdata
@pytest.mark.fitsverify
def test_real_frames_that_were_clean_stay_clean(realdata: Path, tmp_path: Path) -> None:
    clean = 0
    for source in sorted(realdata.rglob("*00*.gz")) + sorted(realdata.rglob("focus*/*.gz")):
        data = gzip.decompress(source.read_bytes())
        before, after = tmp_path / "before.fits", tmp_path / "after.fits"
        before.write_bytes(data)
        after.write_bytes(stamped(data))
        if "verification OK" in verdict(before):
            clean += 1
            assert "verification OK" in verdict(after), source
        np.testing.assert_array_equal(read_frame(after).pixels, read_frame(before).pixels)
    assert clean > 10


def verdict(path: Path) -> str:
    done = subprocess.run(["fitsverify", "-q", str(path)], capture_output=True, text=True, check=False)
    return done.stdout


@pytest.mark.parametrize("cut", [0, 100, 2879, 2880, 4000, 4607])
def test_a_short_blob_is_no_frame(cut: int) -> None:
    data = fits_bytes()  # 2880 of header, 24 × 36 × 2 = 1728 of pixels
    with pytest.raises(NotAFitsFileError, match=r"CCD Simulator.*taken again"):
        stamp_fits(data[:cut], stamp())
    assert stamp_fits(data[:4608], stamp()).meta.frame_id == "f1"


def test_keywords_are_held_to_the_standard() -> None:
    with pytest.raises(ValueError, match="no FITS keyword"):
        format_card("lower", 1)
