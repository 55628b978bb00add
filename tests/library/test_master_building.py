"""What goes into a master and what does not; what its header says; when it is built anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from library.agreement import saturated
from library.combine import combine
from library.errors import LibraryError
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.master_groups import groups_of
from library.masters import build_masters
from library.methods import Method
from library.reading import read_frame
from library.store import Library
from library.writing import write_image
from tests.library.frames import INDI_CARDS
from tests.library.test_masters import PEDESTAL, SHAPE, bias_frame, shoot, vignetting, written
from tui.cli import main


def test_noise_and_uncertainty_are_those_of_the_master(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    levels = rng.normal(0, 4, 10)  # a level that drifts is uncertainty, and not random noise of a pixel
    frames = [np.rint(rng.normal(500 + level, 6, SHAPE)).astype(np.uint16) for level in levels]
    master = combine(written(tmp_path, frames), FrameKind.BIAS)
    random = np.hypot(6, 12**-0.5) / np.sqrt(10)
    assert master.noise_adu == pytest.approx(random, rel=0.05)
    assert master.uncertainty_adu == pytest.approx(np.hypot(random, levels.std(ddof=1) / 10**0.5), rel=0.05)
    assert master.pixels.std() == pytest.approx(master.noise_adu, rel=0.05)
    assert master.spread_adu == pytest.approx(master.noise_adu, rel=0.1)


def test_a_flats_noise_is_relative_to_its_level(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    flats = written(tmp_path, [bias_frame(rng, 20_000.0) for _ in range(9)])
    master = combine(flats, FrameKind.FLAT, bias=np.full(SHAPE, PEDESTAL, np.float32))
    assert master.noise_adu == pytest.approx(1 / np.sqrt(20_000 * 9), rel=0.05)
    assert master.pixels.std() == pytest.approx(master.noise_adu, rel=0.05)


@pytest.mark.parametrize(
    ("signal", "says"),
    [(400.0, "light leak"), (np.linspace(0, 100, SHAPE[0] * SHAPE[1]).reshape(SHAPE) ** 2 / 50, "its")],
)
def test_a_dark_unlike_the_others_is_left_out(tmp_path: Path, signal: Any, says: str) -> None:
    rng = np.random.default_rng(3)
    frames = [bias_frame(rng, 20) for _ in range(6)]
    clean = combine(written(tmp_path, frames), FrameKind.DARK)
    assert clean.left_out == ()
    frames[2] = bias_frame(rng, 20 + signal)
    master = combine(written(tmp_path, frames), FrameKind.DARK)
    assert [left.path.name for left in master.left_out] == ["002.fits"]
    assert says in master.left_out[0].reason
    assert master.n_frames == 5


def test_dark_and_saturated_flats_are_left_out_with_the_reason(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    bias = np.full(SHAPE, PEDESTAL, np.float32)
    levels = [20_000.0, 22_000.0, 0.5, 80_000.0, 21_000.0]
    master = combine(
        written(tmp_path, [bias_frame(rng, v * vignetting()) for v in levels]), FrameKind.FLAT, bias=bias
    )
    reasons = {left.path.name: left.reason for left in master.left_out}
    assert "no light" in reasons["002.fits"]
    assert "saturated" in reasons["003.fits"]
    assert master.n_frames == 3
    with pytest.raises(LibraryError, match=r"none of the 1 frames can be used: 000\.fits: no light"):
        combine(written(tmp_path / "..", [bias_frame(rng, 0.5)]), FrameKind.FLAT, bias=bias)


@pytest.mark.parametrize("top", [4095, 16383, 65535, 65520])
def test_the_top_of_any_converter_is_saturation(top: int) -> None:
    rng = np.random.default_rng(5)
    frame = np.minimum(rng.normal(top * 0.99, top * 0.02, (1, 5000)), top).astype(np.float32)
    good = rng.normal(top * 0.6, top * 0.02, (1, 5000)).astype(np.float32)
    assert saturated(frame)
    assert not saturated(good)


def test_packed_and_mixed_frames_combine_as_plain_ones_do(tmp_path: Path) -> None:
    import gzip

    rng = np.random.default_rng(6)
    frames = [bias_frame(rng) for _ in range(5)]
    plain = combine(written(tmp_path, frames), FrameKind.BIAS)
    packed = tmp_path / "001.fits.gz"
    packed.write_bytes(gzip.compress((tmp_path / "001.fits").read_bytes()))
    write_image(tmp_path / "002f.fits", frames[2].astype(np.float32), INDI_CARDS)
    paths = [tmp_path / name for name in ("000.fits", "001.fits.gz", "002f.fits", "003.fits", "004.fits")]
    mixed = combine(paths, FrameKind.BIAS, method=plain.method)
    np.testing.assert_allclose(mixed.pixels, plain.pixels, rtol=1e-6)
    assert combine([paths[1], paths[0]], FrameKind.BIAS).n_frames == 2


def record(name: str, **changes: Any) -> FrameRecord:
    meta = FrameMeta(kind=FrameKind.DARK, width=4, height=4, exposure_s=30.0, **changes)
    return FrameRecord(id=0, path=Path(name), sha256="", size_bytes=0, meta=meta)


def test_a_drifting_sensor_is_grouped_where_its_temperatures_part() -> None:
    temps = [-9.4, -9.5, -9.8, -10.2, -10.5, -10.6, -14.9, -15.6]
    groups = groups_of([record(f"{i}", sensor_temp_c=t) for i, t in enumerate(temps)])
    assert [(len(g.records), g.temp_c) for g in groups] == [(2, -15), (6, -10)]
    cooled = [record(f"{i}", sensor_temp_c=-10 + i / 10, set_temp_c=-10.0) for i in range(5)]
    cooled += [record(f"b{i}", sensor_temp_c=-11.0, set_temp_c=-11.0) for i in range(2)]
    assert [(len(g.records), g.temp_c) for g in groups_of(cooled)] == [(5, -10), (2, -11)]
    assert len(groups_of([record("a"), record("b", sensor_temp_c=0.0)])) == 2


def test_a_method_that_is_asked_for_rebuilds_and_is_kept(tmp_path: Path) -> None:
    with Library.open(tmp_path) as store:
        shoot(store, FrameKind.DARK, 4, 20.0)
        assert build_masters(store)[0].meta.method == "sigma_clip"
        assert [r.meta.method for r in build_masters(store, method=Method.parse("median"))] == ["median"]
        assert build_masters(store, method=Method.parse("median")) == []
        assert build_masters(store) == []
        shoot(store, FrameKind.DARK, 1, 20.0)
        (tmp_path / "library.toml").write_text('[masters]\nmethod = "winsorized:high=3"\n')
        (built,) = build_masters(store)
        header = read_frame(built.path).header
        assert (header["COMBMETH"], header["COMBLOW"], header["COMBHIGH"]) == ("winsorized", 4.0, 3.0)
        assert header["NCOMBINE"] == 5
        assert len(store.find(master=True)) == 1
        (tmp_path / "library.toml").write_text('[masters]\nmethod = "mode"\n')
        with pytest.raises(LibraryError, match=r"library\.toml: masters\.method .*no method 'mode'"):
            build_masters(store)


def test_few_frames_retired_frames_and_masters_of_others(tmp_path: Path) -> None:
    refused: list[str] = []
    with Library.open(tmp_path) as store:
        shoot(store, FrameKind.DARK, 2, 20.0)
        assert build_masters(store, min_frames=3, on_refused=refused.append) == []
        assert "DARK_30s_G120_O30_T-10C_bin1: 2 frames: fewer than 3" in refused[0]
        theirs = store.folder / "masters" / "CCD_Simulator" / "DARK_30s_G120_O30_T-10C_bin1.fits"
        write_image(theirs, np.full(SHAPE, 7.0, np.float32), [*INDI_CARDS, ("IMAGETYP", "Master Dark", "")])
        store.reconcile()
        (ours,) = build_masters(store)
        assert ours.path != theirs
        assert (read_frame(theirs).pixels == 7).all()
        assert build_masters(store) == []


def test_the_command_builds_tells_and_has_nothing_left_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Library.open(tmp_path) as store:
        shoot(store, FrameKind.BIAS, 4, exposure_s=0.0)
        shoot(store, FrameKind.BIAS, 1, 900.0, exposure_s=0.0)
        shoot(store, FrameKind.FLAT, 3, 20_000.0, gain=0.0)
    build = ["library", "masters", "build", "--root", str(tmp_path)]
    assert main([*build, "--kind", "bias"]) == 0
    told = capsys.readouterr().out
    assert "left out" in told
    assert "of 4 by sigma_clip, 1 left out, noise" in told
    assert main([*build, "--kind", "flat", "--json"]) == 1
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["event"] == "refused"
    assert "--uncalibrated-flats" in line["reason"]
    assert main([*build, "--kind", "flat", "--json", "--uncalibrated-flats"]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["event"], line["kind"], line["n_combined"]) == ("built", "flat", 3)
    assert main([*build, "--kind", "bias"]) == 0
    assert "nothing to build" in capsys.readouterr().out
