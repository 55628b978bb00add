"""Defect maps of simulated sensors, whose defects are known, and of a real camera."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from library.defect_tests import telegraph_evidence
from library.defects import Defect, Limits, build_defect_maps, read_defects, to_mend
from library.errors import LibraryError
from library.frames import FrameKind
from library.masters import build_masters
from library.reading import read_frame
from library.store import Library
from library.writing import write_image
from livestack.calibrate import calibrate
from livestack.masters import prepare
from tests.library.frames import INDI_CARDS, fits_bytes, stamp
from tests.library.simulated import Rig
from tests.livestack.sky import draw_stars

SHAPE = (256, 320)


def build(root: Path, rig: Rig, *, darks: int = 12, exposure_s: float = 300, flats: int = 4) -> Path:
    """Shoot a set with 30 dead pixels in the flats' light, and give the map's path."""
    with Library.open(root) as library:
        rig.shoot(library, FrameKind.BIAS, 8)
        rig.shoot(library, FrameKind.DARK, darks, exposure_s)
        rig.shoot(library, FrameKind.FLAT, flats, 1.0, lamp(rig))
        [record] = build_defect_maps(library, on_refused=pytest.fail)
        assert record.meta.kind is FrameKind.DEFECTS
        return record.path


def dead_pixels(rig: Rig) -> NDArray[np.bool_]:
    dead = np.zeros(rig.shape, bool)
    dead.reshape(-1)[np.random.default_rng(4).choice(dead.size, 30, replace=False)] = True
    return dead


def lamp(rig: Rig) -> NDArray[np.float32]:
    """Even light with vignetting, a third of the range, a third of that on dead pixels."""
    height, width = rig.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 20_000 / rig.adu_per_e * (1 - 0.2 * (x**2 + y**2))
    light[dead_pixels(rig)] *= 0.3
    return np.asarray(light, np.float32)


@pytest.mark.parametrize(
    ("name", "exposure_s", "temp_c"),
    [("ASI2600MM", 300, -10), ("ASI294MC", 300, -10), ("STL-1001E", 300, -10), ("ASI290MM", 20, 20)],
)
def test_the_defects_of_a_known_sensor_are_found_and_no_others(
    tmp_path: Path, name: str, exposure_s: float, temp_c: float
) -> None:
    """Sure is half above the limit, surely not is half below it; in between noise decides."""
    rig = Rig(name, SHAPE, gain=120, temp_c=temp_c, changes={"glow": None})
    frame = read_frame(build(tmp_path, rig, exposure_s=exposure_s))
    flags, header = frame.pixels, frame.header
    rate = rig.sensor.dark_current_e_s(rig.temp_c) * rig.adu_per_e
    excess = rate - np.median(rate)
    for bits, keyword in ((Defect.WARM | Defect.HOT, "WARMRATE"), (Defect.HOT, "HOTRATE")):
        limit = float(str(header[keyword]))
        found = (flags & np.uint8(bits)) > 0
        sure = excess > 1.5 * limit
        assert sure.sum() >= 4
        assert found[sure].mean() > 0.95
        assert np.count_nonzero(found & (excess < 0.5 * limit)) <= 2
    cold = (flags & np.uint8(Defect.COLD)) > 0
    assert cold[dead_pixels(rig)].all()
    assert np.count_nonzero(cold & ~dead_pixels(rig)) <= 1
    assert float(str(header["ADUPERE"])) == pytest.approx(rig.adu_per_e, rel=1e-4)
    assert header["NCOLUMN"] == header["NROW"] == 0


def test_jumping_pixels_are_unstable_or_telegraph_and_steady_ones_are_not(tmp_path: Path) -> None:
    rig = Rig("ASI6200MM", SHAPE)
    frame = read_frame(build(tmp_path, rig, darks=20, exposure_s=60))
    noise_e = float(str(frame.header["FRMNOISE"])) / rig.adu_per_e
    jump = np.zeros(frame.pixels.size, np.float32)
    jump[rig.sensor.maps.flickering.places] = rig.sensor.maps.flickering.values
    jump = jump.reshape(rig.shape) / noise_e
    unstable = (frame.pixels & np.uint8(Defect.UNSTABLE)) > 0
    telegraph = (frame.pixels & np.uint8(Defect.TELEGRAPH)) > 0
    assert unstable[jump > 5].mean() > 0.9
    assert telegraph[jump > 6].mean() > 0.7
    assert np.count_nonzero((unstable | telegraph) & (jump == 0)) <= 3


def test_two_levels_are_told_from_one_wide_gaussian(tmp_path: Path) -> None:
    """Both scatter alike; 20 frames tell them apart where the levels are seven sigmas apart."""
    rng = np.random.default_rng(6)
    two = rng.normal(0, 1, (20, 500)) + 7 * rng.integers(0, 2, (20, 500))
    wide = rng.normal(0, 3.6, (20, 500))
    v = np.ones(500, np.float32)
    assert (telegraph_evidence(two.astype(np.float32), v) > Limits().telegraph_evidence).mean() > 0.95
    assert (telegraph_evidence(wide.astype(np.float32), v) > Limits().telegraph_evidence).mean() < 0.02
    ray = rng.normal(0, 1, (20, 500))
    ray[3] += 200
    assert (telegraph_evidence(ray.astype(np.float32), v) < Limits().telegraph_evidence).all()


def test_bad_columns_and_rows_are_found_where_they_are(tmp_path: Path) -> None:
    def spoil(image: NDArray[np.float64]) -> NDArray[np.float64]:
        image[64:192, 100] += 60
        image[200, :128] -= 60
        return image

    rig = Rig("KAF-8300", SHAPE)
    with Library.open(tmp_path) as library:
        rig.shoot(library, FrameKind.BIAS, 5)
        rig.alter = spoil
        rig.shoot(library, FrameKind.DARK, 5, 60)
        [record] = build_defect_maps(library)
    flags = read_defects(record.path)
    column, row = (flags & np.uint8(Defect.COLUMN)) > 0, (flags & np.uint8(Defect.ROW)) > 0
    assert column[64:192, 100].all()
    assert column.sum() == 128
    assert row[200, :128].all()
    assert row.sum() == 128


def test_few_frames_say_what_they_cannot_tell(tmp_path: Path) -> None:
    rig = Rig("ASI2600MM", SHAPE)
    with Library.open(tmp_path) as library:
        rig.shoot(library, FrameKind.DARK, 2, 60)
        [record] = build_defect_maps(library)
    header = record.path.read_bytes()[:8640].decode("ascii")
    for said in ("two long darks", "unstable pixels cannot be told from 2", "telegraph pixels", "no flats"):
        assert said in header
    flags = read_defects(record.path)
    assert not (flags & np.uint8(Defect.UNSTABLE | Defect.TELEGRAPH)).any()


def test_a_cosmic_ray_is_no_defect_from_two_darks_on(tmp_path: Path) -> None:
    def ray(image: NDArray[np.float64]) -> NDArray[np.float64]:
        image[40, 50:60] += 5000
        return image

    rig = Rig("KAF-8300", SHAPE, changes={"leakers": (), "cosmic_rays_per_s": 0.0})
    for n in (2, 3, 8):
        with Library.open(tmp_path / str(n)) as library:
            rig.alter = None
            rig.shoot(library, FrameKind.DARK, n - 1, 60)
            rig.alter = ray
            rig.shoot(library, FrameKind.DARK, 1, 60)
            [record] = build_defect_maps(library)
            assert not read_defects(record.path).any(), n


def test_each_temperature_has_its_map_and_a_second_call_builds_nothing(tmp_path: Path) -> None:
    rig = Rig("KAF-8300", (96, 128))
    with Library.open(tmp_path) as library:
        for rig.temp_c in (-10.0, 0.0):
            rig.shoot(library, FrameKind.DARK, 3, 30)
            rig.shoot(library, FrameKind.DARK, 3, 60)
        built = build_defect_maps(library)
        assert [r.path.name for r in built] == [
            "DEFECTS_G100_O50_T-10C_bin1.fits",
            "DEFECTS_G100_O50_T0C_bin1.fits",
        ]
        assert build_defect_maps(library) == []
        before = built[0].path.read_bytes()
        assert [r.path for r in build_defect_maps(library, limits=Limits(warm_sigma=9))] == [
            r.path for r in built
        ]
        again = build_defect_maps(library)
        assert [r.sha256 for r in again] == [r.sha256 for r in built]
        assert built[0].path.read_bytes() == before


def test_limits_come_from_the_configuration(tmp_path: Path) -> None:
    rig = Rig("STL-1001E", (96, 128))
    with Library.open(tmp_path) as library:
        rig.shoot(library, FrameKind.DARK, 4, 60)
        (tmp_path / "library.toml").write_text("[defects]\nwarm_sigma = 20\n")
        [record] = build_defect_maps(library)
        assert read_frame(record.path).header["LIMWARM"] == 20
        for faulty, said in (
            ("warm_sgima = 3", "warm_sgima is unknown"),
            ("hot_noise = -1", "not a number above 0"),
        ):
            (tmp_path / "library.toml").write_text(f"[defects]\n{faulty}\n")
            with pytest.raises(LibraryError, match=said):
                build_defect_maps(library)


def test_frames_that_do_not_fit_together_are_refused_with_the_reason(tmp_path: Path) -> None:
    refused: list[str] = []
    with Library.open(tmp_path) as library:
        for number in range(2):
            record = library.add(
                fits_bytes(seed=number), stamp(f"d{number}", kind=FrameKind.DARK, exposure_s=60.0)
            )
        record.path.write_bytes(b"SIMPLE")
        assert build_defect_maps(library, on_refused=refused.append) == []
    assert len(refused) == 1
    assert "DEFECTS_G120_O30_T-10C_bin1" in refused[0]


def test_what_is_mended_depends_on_the_dark(tmp_path: Path) -> None:
    flags = np.array([[0, 1, 2, 4, 8, 16, 32, 64]], np.uint8)
    assert to_mend(flags, dark=True).tolist() == [[False, True, True, False, True, False, True, True]]
    assert to_mend(flags, dark=False).tolist() == [[False, True, True, True, True, False, True, True]]


def test_a_file_that_is_no_map_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dark.fits"
    write_image(path, np.zeros((8, 8), np.uint16), (*INDI_CARDS[:5], ("IMAGETYP", "Master Dark", "")))
    with pytest.raises(LibraryError, match="not a defect map"):
        read_defects(path)


@pytest.mark.fitsverify
def test_fitsverify_finds_nothing(tmp_path: Path) -> None:
    path = build(tmp_path, Rig("KAF-8300", (96, 128)), darks=3, exposure_s=30)
    done = subprocess.run(["fitsverify", "-q", str(path)], capture_output=True, text=True, check=False)
    assert "verification OK" in done.stdout, done.stdout


@pytest.mark.realdata
def test_a_real_ccds_map_is_plausible(realdata: Path, tmp_path: Path) -> None:
    """Two darks of 300 and 150 s at −10 °C: a share of warm pixels that a CCD of this age has."""
    with Library.open(tmp_path) as library:
        for path in sorted((realdata / "calib_stl1001").glob("*.gz")):
            frame = read_frame(path)
            kind = FrameKind.FLAT if "flat" in path.name else frame.meta.kind
            library.add(
                gzip.decompress(path.read_bytes()),
                stamp(
                    path.name.replace(".FIT.gz", "")[-60:].replace(".", "-"),
                    kind=kind,
                    exposure_s=frame.meta.exposure_s or 0.0,
                    camera=frame.meta.camera,
                    set_temp_c=frame.meta.set_temp_c,
                    gain=None,
                    offset=None,
                    read_mode=None,
                    filter=frame.meta.filter if kind is FrameKind.FLAT else None,
                ),
            )
        [record] = build_defect_maps(library, on_refused=pytest.fail)
    frame = read_frame(record.path)
    assert 0.002 < np.count_nonzero(frame.pixels & np.uint8(Defect.HOT)) / frame.pixels.size < 0.01
    assert 0.002 < np.count_nonzero(frame.pixels & np.uint8(Defect.WARM)) / frame.pixels.size < 0.04
    assert np.count_nonzero(frame.pixels & np.uint8(Defect.COLD)) < 300
    assert 6 < float(str(frame.header["FRMNOISE"])) < 9


def test_a_map_of_the_library_mends_a_light_and_spares_its_stars(tmp_path: Path) -> None:
    """From darks in the library to the calibrated sub, as the stack does it."""
    rig = Rig("STL-1001E", SHAPE)
    sky = np.full(SHAPE, 2000.0)
    grid = np.meshgrid(np.arange(20.3, 300, 31), np.arange(20.3, 240, 31))
    places = np.stack(grid, -1).reshape(-1, 2).astype(np.float64)
    draw_stars(sky, places, np.full(len(places), 80_000.0), 2.5)
    with Library.open(tmp_path) as library:
        rig.shoot(library, FrameKind.BIAS, 5)
        rig.shoot(library, FrameKind.DARK, 5, 300)
        [record] = build_defect_maps(library)
        [bias] = build_masters(library, kinds=[FrameKind.BIAS])
        pedestal = read_frame(bias.path).pixels
    light = rig.frame(300, sky.astype(np.float32))
    flags = to_mend(read_defects(record.path), dark=False)
    done = calibrate(light, prepare(bias=pedestal, defects=flags), saturation_adu=65_000)
    ideal = (sky * rig.adu_per_e).astype(np.float32)
    error = done.pixels - ideal
    error -= np.median(error)
    rate = rig.sensor.dark_current_e_s(rig.temp_c) * rig.adu_per_e
    hot = (rate - np.median(rate)) * 300 > 400
    assert hot.sum() > 100
    assert np.abs(error[hot & (ideal < 1.1 * ideal.min())]).max() < 250
    good = ~flags & (ideal > 1.1 * ideal.min())
    raw = light - pedestal
    assert (done.pixels[good] == raw[good]).mean() > 0.999
