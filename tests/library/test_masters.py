"""Masters: the laws that they obey, and building them in a library."""

from __future__ import annotations

import itertools
import random
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from library.combine import combine
from library.coverage import Coverage
from library.errors import LibraryError, UncalibratedFlatError
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.masters import build_masters, nominal_temp_c
from library.matching import match
from library.reading import read_frame
from library.store import Library
from library.writing import write_image
from tests.library.frames import INDI_CARDS, fits_bytes, stamp

SHAPE = (60, 84)
PEDESTAL = 500.0
READ_NOISE = 6.0


def bias_frame(rng: np.random.Generator, signal: float | NDArray[Any] = 0.0) -> NDArray[np.uint16]:
    """A frame of a camera at 1 e⁻/ADU."""
    electrons = rng.poisson(np.broadcast_to(signal, SHAPE))
    values = PEDESTAL + electrons + rng.normal(0, READ_NOISE, SHAPE)
    return np.clip(np.rint(values), 0, 65535).astype(np.uint16)


def vignetting() -> NDArray[np.float64]:
    """1 in the middle, 0.6 in the corners."""
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    return np.asarray(1 - 0.2 * (x**2 + y**2), np.float64)


def written(folder: Path, frames: Sequence[NDArray[Any]]) -> list[Path]:
    paths = [folder / f"{i:03}.fits" for i in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        write_image(path, frame, INDI_CARDS)
    return paths


@pytest.mark.parametrize("kind", [FrameKind.DARK, FrameKind.FLAT])
def test_the_order_of_the_frames_does_not_matter(tmp_path: Path, kind: FrameKind) -> None:
    rng = np.random.default_rng(0)
    frames = [bias_frame(rng, 9000) for _ in range(6)]
    bias = np.full(SHAPE, PEDESTAL, np.float32) if kind is FrameKind.FLAT else None
    seen = set()
    for number, order in enumerate([range(6), range(5, -1, -1), random.Random(1).sample(range(6), 6)]):
        folder = tmp_path / str(number)
        paths = written(folder, [frames[i] for i in order])
        seen.add(combine(paths, kind, bias=bias).pixels.tobytes())
        seen.add(combine(paths[::-1], kind, bias=bias).pixels.tobytes())
    assert len(seen) == 1


@pytest.mark.parametrize("kind", [FrameKind.BIAS, FrameKind.FLAT])
def test_tiles_make_no_difference_and_bound_the_memory(tmp_path: Path, kind: FrameKind) -> None:
    rng = np.random.default_rng(2)
    level = 500 if kind is FrameKind.FLAT else 0
    frames = [(level + rng.integers(900, 1100, (400, 300))).astype(np.uint16) for _ in range(12)]
    paths = written(tmp_path, frames)
    bias = np.full((400, 300), 500, np.float32) if kind is FrameKind.FLAT else None
    whole = combine(paths, kind, bias=bias, bayer_pattern="RGGB")
    tiles = combine(paths, kind, bias=bias, bayer_pattern="RGGB", memory_bytes=0)
    assert tiles.pixels.tobytes() == whole.pixels.tobytes()
    assert tiles.noise_adu == whole.noise_adu


def test_a_flat_takes_vignetting_and_dust_away(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    truth = vignetting()
    truth[20:30, 20:30] *= 0.9
    flats = written(tmp_path, [bias_frame(rng, level * truth) for level in (20_000, 30_000, 25_000) * 5])
    bias = np.full(SHAPE, PEDESTAL, np.float32)
    flat = combine(flats, FrameKind.FLAT, bias=bias)
    assert flat.pixels.mean(dtype=float) == pytest.approx(1, abs=1e-6)
    ratio = flat.pixels / (truth / truth.mean())
    assert ratio.std() < 1.2 / np.sqrt(15 * 25_000 * truth.min())
    wrong = combine(flats, FrameKind.FLAT, allow_uncalibrated_flat=True)
    assert wrong.pixels.min() > flat.pixels.min()  # the pedestal left in makes it too shallow


def test_a_flat_is_normalised_in_each_cfa_channel(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    truth = vignetting()
    colour = np.ones(SHAPE)
    colour[::2, ::2], colour[1::2, 1::2] = 0.5, 0.3
    paths = written(tmp_path, [bias_frame(rng, 30_000 * truth * colour) for _ in range(8)])
    flat = combine(paths, FrameKind.FLAT, bias=np.full(SHAPE, PEDESTAL, np.float32), bayer_pattern="RGGB")
    for y, x in itertools.product(range(2), repeat=2):
        assert flat.pixels[y::2, x::2].mean(dtype=float) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(flat.pixels, truth / truth.mean(), rtol=0.03)


def test_what_cannot_be_combined_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    paths = written(tmp_path, [bias_frame(rng, 9000) for _ in range(2)])
    with pytest.raises(UncalibratedFlatError, match="shoot biases or flat-darks"):
        combine(paths, FrameKind.FLAT)
    with pytest.raises(ValueError, match="keeps its bias"):
        combine(paths, FrameKind.DARK, bias=np.zeros(SHAPE, np.float32))
    with pytest.raises(LibraryError, match="no frames"):
        combine([], FrameKind.BIAS)
    with pytest.raises(LibraryError, match="no light"):
        combine(paths, FrameKind.FLAT, bias=np.full(SHAPE, 60_000, np.float32))
    write_image(tmp_path / "other.fits", np.zeros((4, 5), np.uint16), [])
    with pytest.raises(LibraryError, match=r"different sizes.*other\.fits is \(4, 5\)"):
        combine([*paths, tmp_path / "other.fits"], FrameKind.BIAS)


def shoot(
    store: Library, kind: FrameKind, n: int, signal: float | NDArray[Any] = 0.0, **changes: Any
) -> None:
    first = len(store.find())
    for number in range(first, first + n):
        frame = fits_bytes(
            bias_frame(np.random.default_rng(number), signal), cards=changes.pop("cards", INDI_CARDS)
        )
        store.add(frame, stamp(f"f{number:03}", kind=kind, step_id=f"{number:04}", **changes))


def shoot_a_set(store: Library, *, n: int = 4) -> FrameRecord:
    shoot(store, FrameKind.BIAS, n, exposure_s=0.0)
    shoot(store, FrameKind.DARK, n, 20.0)
    shoot(store, FrameKind.FLAT, n, 20_000 * vignetting(), exposure_s=2.0)
    shoot(store, FrameKind.LIGHT, 1, 300 * vignetting() + 20)
    return store.find(kind=FrameKind.LIGHT)[0]


def test_masters_are_built_once_and_match_the_light(tmp_path: Path) -> None:
    with Library.open(tmp_path) as store:
        light = shoot_a_set(store)
        assert match(store, light.meta).dark.coverage is Coverage.MISSING
        built = build_masters(store)
        names = [str(record.path.relative_to(store.folder)) for record in built]
        assert names == [
            "masters/CCD_Simulator/BIAS_G120_O30_T-10C_bin1.fits",
            "masters/CCD_Simulator/DARK_30s_G120_O30_T-10C_bin1.fits",
            "masters/CCD_Simulator/FLAT_L_G120_O30_bin1.fits",
        ]
        assert store.find(master=True) == sorted(built, key=lambda record: record.id)
        assert build_masters(store) == []
        found = match(store, light.meta)
        assert (found.dark.record, found.flat.record) == (built[1], built[2])
        assert found.dark.coverage is found.flat.coverage is Coverage.EXACT
        assert built[1].meta.n_combined == 4
        assert store.done_steps("p1") == {f"{i:04}" for i in range(13)}
        sub = read_frame(light.path).pixels.astype(float)
        calibrated = (sub - read_frame(built[1].path).pixels) / read_frame(built[2].path).pixels
        np.testing.assert_allclose(calibrated.mean(), 300 * vignetting().mean(), rtol=0.02)
        corner, middle = calibrated[:20, :20].mean(), calibrated[20:40, 32:52].mean()
        assert corner == pytest.approx(middle, rel=0.05)


def test_a_new_frame_rebuilds_what_it_belongs_to_and_what_rests_on_it(tmp_path: Path) -> None:
    with Library.open(tmp_path) as store:
        shoot_a_set(store)
        build_masters(store)
        shoot(store, FrameKind.DARK, 1, 20.0)
        assert [(r.meta.kind, r.meta.n_combined) for r in build_masters(store)] == [(FrameKind.DARK, 5)]
        shoot(store, FrameKind.BIAS, 1, exposure_s=0.0)
        assert [r.meta.kind for r in build_masters(store)] == [FrameKind.BIAS, FrameKind.FLAT]
        assert len(store.find(master=True)) == 3
    with Library.open(tmp_path) as store:
        assert build_masters(store) == []


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    digests = []
    for name in "ab":
        with Library.open(tmp_path / name) as store:
            shoot_a_set(store)
            digests.append([record.sha256 for record in build_masters(store)])
    assert digests[0] == digests[1]


def test_what_differs_in_a_key_is_kept_apart(tmp_path: Path) -> None:
    with Library.open(tmp_path) as store:
        shoot(store, FrameKind.DARK, 2)
        shoot(store, FrameKind.DARK, 2, gain=0.0)
        shoot(store, FrameKind.DARK, 2, exposure_s=60.0)
        shoot(store, FrameKind.DARK, 2, read_mode="Low Noise")
        names = [record.path.name for record in build_masters(store)]
        assert len(set(names)) == 4
        assert build_masters(store) == []
        assert {r.meta.read_mode for r in store.find(master=True)} == {"High Gain", "Low Noise"}


def test_masters_of_one_plan(tmp_path: Path) -> None:
    """A night's few darks are added to the day's many and do not take their place; its flats are its own."""
    with Library.open(tmp_path) as store:
        shoot(store, FrameKind.BIAS, 2, plan_id="a", exposure_s=0.0)
        shoot(store, FrameKind.DARK, 4, plan_id="a")
        shoot(store, FrameKind.FLAT, 4, 20_000.0, plan_id="a", exposure_s=2.0)
        shoot(store, FrameKind.DARK, 2, plan_id="a", exposure_s=60.0)
        assert len(build_masters(store, plan_id="a")) == 4
        shoot(store, FrameKind.DARK, 3, plan_id="b")
        shoot(store, FrameKind.FLAT, 3, 20_000.0, plan_id="b", exposure_s=2.0)
        built = [(r.meta.kind, r.meta.n_combined) for r in build_masters(store, plan_id="b")]
        assert built == [(FrameKind.DARK, 7), (FrameKind.FLAT, 3)]
        assert build_masters(store, plan_id="b") == []


def test_flats_without_their_bias_are_refused_with_the_reason(tmp_path: Path) -> None:
    refused: list[str] = []
    with Library.open(tmp_path) as store:
        shoot(store, FrameKind.FLAT, 2, 20_000.0, exposure_s=2.0)
        shoot(store, FrameKind.DARK, 2)
        built = build_masters(store, on_refused=refused.append)
    assert [record.meta.kind for record in built] == [FrameKind.DARK]
    assert len(refused) == 1
    assert "neither a flat-dark nor a bias" in refused[0]


def test_a_flat_prefers_its_flat_dark(tmp_path: Path) -> None:
    with Library.open(tmp_path) as store:
        shoot(store, FrameKind.BIAS, 2, exposure_s=0.0)
        shoot(store, FrameKind.FLAT_DARK, 2, exposure_s=2.0)
        shoot(store, FrameKind.FLAT, 2, 20_000.0, exposure_s=2.0)
        built = build_masters(store)
        flat = built[-1]
        assert flat.meta.kind is FrameKind.FLAT
        assert b"less FLATDARK_2s_G120_O30_T-10C_bin1.fits" in flat.path.read_bytes()


@pytest.mark.parametrize(
    ("sensor_c", "set_c", "nominal"),
    [
        (-10.2, -10.0, -10),
        (-9.6, -10.0, -10),
        (-5.2, -10.0, -5),
        (20.4, None, 20),
        (None, -15.0, -15),
        (None, None, None),
    ],
)
def test_the_degree_that_a_frame_counts_as(
    sensor_c: float | None, set_c: float | None, nominal: int | None
) -> None:
    meta = FrameMeta(kind=FrameKind.DARK, width=1, height=1, sensor_temp_c=sensor_c, set_temp_c=set_c)
    assert nominal_temp_c(meta) == nominal


@pytest.mark.fitsverify
def test_fitsverify_finds_nothing_in_frames_and_masters(tmp_path: Path) -> None:
    with Library.open(tmp_path) as store:
        shoot_a_set(store, n=3)
        build_masters(store)
        for record in store.find():
            done = subprocess.run(
                ["fitsverify", "-q", str(record.path)], capture_output=True, text=True, check=False
            )
            assert "verification OK" in done.stdout, done.stdout


@pytest.mark.siril
@pytest.mark.slow
def test_siril_opens_a_master(tmp_path: Path) -> None:
    with Library.open(tmp_path) as store:
        shoot_a_set(store, n=3)
        dark = build_masters(store)[1]
    script = f'requires 1.0.0\ncd "{dark.path.parent}"\nload {dark.path.name}\nstat\n'
    done = subprocess.run(
        ["siril-cli", "-d", str(tmp_path), "-s", "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    mean = re.search(r"Mean: ([0-9.]+)", done.stdout)
    assert mean, done.stdout
    assert float(mean[1]) == pytest.approx(read_frame(dark.path).pixels.mean(), abs=0.2)


@pytest.mark.realdata
def test_a_real_master_bias_leaves_read_noise_and_dark_current(realdata: Path) -> None:
    """Read noise 6.29 ADU, dark current 0.355 e⁻/s, 1.946 e⁻/ADU: README of the real frames."""
    folder = realdata / "calib_stl1001"
    biases = sorted(folder.glob("bias-Neg10*"))
    master = combine(biases, FrameKind.BIAS)
    assert master.n_frames == 5
    left = read_frame(biases[0]).pixels - master.pixels
    assert 1.4826 * np.median(np.abs(left)) == pytest.approx(6.29 * np.sqrt(1 - 1 / 5), rel=0.1)
    dark = read_frame(next(folder.glob("darks-expos60s*"))).pixels - master.pixels
    assert np.median(dark) == pytest.approx(0.355 * 60 / 1.946, rel=0.1)
