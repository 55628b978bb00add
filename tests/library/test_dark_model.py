from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from library.coverage import Coverage
from library.dark_model import build_dark_models, synthesise_dark
from library.dark_model_file import read_model
from library.dark_model_law import Exposures, fit_law
from library.dark_model_pixels import OWN_SLOPE
from library.dark_model_synthesis import outside, synthesise
from library.errors import LibraryError
from library.frames import FrameKind
from library.matching import match
from library.reading import read_frame
from library.store import Library
from tests.library.dark_camera import DarkCamera
from tui.cli import main

LADDER = (0.0, 30.0, 120.0, 300.0)


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> tuple[DarkCamera, Path]:
    """A library at three temperatures, and its camera."""
    camera, root = DarkCamera(jitter_adu=0.3), tmp_path_factory.mktemp("shot")
    with Library.open(root) as library:
        camera.fill(library, (-20.0, -10.0, 0.0), LADDER)
        assert len(build_dark_models(library)) == 1
    return camera, root


def model_path(root: Path) -> Path:
    with Library.open(root) as library:
        (record,) = library.find(kind=FrameKind.DARK_MODEL)
    return record.path


def test_darks_that_nobody_shot_come_out(shot: tuple[DarkCamera, Path]) -> None:
    camera, root = shot
    model = read_model(model_path(root))
    assert model.law.doubling_c == pytest.approx(camera.doubling_c, abs=4 * model.law.doubling_error_c)
    for exposure_s, temp_c in ((60.0, -15.0), (200.0, -5.0)):
        dark = synthesise(model, exposure_s, temp_c)
        off = dark.pixels - camera.truth(exposure_s, temp_c)
        hot = np.isin(np.arange(off.size), camera.hot_places).reshape(off.shape)
        # levels of 12 darks jitter by 0.3 ADU: their mean is known to 0.1
        assert abs(np.median(off[~hot])) < 0.35
        assert np.median(np.abs(off[hot]) / camera.truth(exposure_s, temp_c)[hot]) < 0.02
        pull = off[~hot] / dark.uncertainty[~hot]
        assert 0.75 < 1.4826 * np.median(np.abs(pull - np.median(pull))) < 1.15


def test_hot_pixels_keep_their_own_law(shot: tuple[DarkCamera, Path]) -> None:
    camera, root = shot
    flags = read_model(model_path(root)).whole("FLAGS").ravel()
    own = (flags & OWN_SLOPE) > 0
    assert own[camera.hot_places].mean() > 0.95
    assert np.delete(own, camera.hot_places).mean() < 0.02


def test_same_frames_same_bytes_and_nothing_twice(tmp_path: Path) -> None:
    files = []
    for name, temps in (("a", (-10.0, 0.0)), ("b", (0.0, -10.0))):
        shots = {
            temp: DarkCamera(shape=(64, 96), rng=np.random.default_rng(int(temp + 100))) for temp in temps
        }
        with Library.open(tmp_path / name) as library:
            for temp, camera in shots.items():
                camera.fill(library, (temp,), (0.0, 60.0), n=2)
            (record,) = build_dark_models(library)
            assert build_dark_models(library) == []
        files.append(record.path.read_bytes())
        assert (record.meta.temp_range_c, record.meta.exposure_range_s) == ((-10.0, 0.0), (0.0, 60.0))
    assert files[0] == files[1]


def test_a_new_dark_makes_a_new_model_in_its_place(tmp_path: Path) -> None:
    camera = DarkCamera(shape=(64, 96))
    with Library.open(tmp_path) as library:
        camera.fill(library, (-10.0,), (0.0, 60.0), n=2)
        (first,) = build_dark_models(library)
        camera.fill(library, (-10.0,), (300.0,), n=1)
        (second,) = build_dark_models(library)
        assert (second.path, second.meta.exposure_range_s) == (first.path, (0.0, 300.0))
        assert [r.id for r in library.find(kind=FrameKind.DARK_MODEL)] == [second.id]


def test_cameras_settings_do_not_mix(tmp_path: Path) -> None:
    camera = DarkCamera(shape=(64, 96))
    with Library.open(tmp_path) as library:
        for gain in (0.0, 100.0):
            for t in (0.0, 60.0):
                camera.shoot(library, t, -10.0, f"{gain}-{t}", gain=gain)
        built = build_dark_models(library)
        assert {record.meta.gain for record in built} == {0.0, 100.0}
        assert len({record.path for record in built}) == 2


@pytest.mark.parametrize(
    ("times", "temp", "reason"),
    [
        ((0.0, 0.0), -10.0, "no dark"),
        ((60.0, 60.0), -10.0, "do not tell bias from dark"),
        ((0.0, 60.0), None, "tell no temperature"),
    ],
)
def test_what_cannot_be_modelled_is_refused_with_the_reason(
    tmp_path: Path, times: tuple[float, ...], temp: float | None, reason: str
) -> None:
    camera = DarkCamera(shape=(64, 96))
    refused: list[str] = []
    with Library.open(tmp_path) as library:
        for number, t in enumerate(times):
            if temp is None:
                camera.cards = (*camera.cards, ("CCD-TEMP", -273.15, ""))
            camera.shoot(library, t, temp, str(number))
        assert build_dark_models(library, on_refused=refused.append) == []
    assert len(refused) == 1
    assert reason in refused[0]


def test_one_temperature_leans_on_the_prior_and_says_so(tmp_path: Path) -> None:
    camera = DarkCamera()
    with Library.open(tmp_path) as library:
        camera.fill(library, (-10.0,), LADDER, n=3)
        (record,) = build_dark_models(library)
    model = read_model(record.path)
    assert model.law.is_prior
    assert model.law.doubling_c == pytest.approx(6.0, abs=0.3)
    assert any("prior" in note for note in model.notes)
    here, there = (synthesise(model, 300.0, temp_c) for temp_c in (-10.0, -4.0))
    assert here.outside == ()
    assert len(there.outside) == 1
    off = there.pixels - camera.truth(300.0, -4.0)
    # the camera's doubling is not the prior's, and the uncertainty knows that it may not be
    assert np.mean(np.abs(off) < 2 * there.uncertainty) > 0.9
    assert there.noise_adu > 3 * here.noise_adu


def test_without_biases_the_level_is_extrapolated(tmp_path: Path) -> None:
    camera = DarkCamera()
    with Library.open(tmp_path) as library:
        camera.fill(library, (-10.0,), (30.0, 300.0), n=3)
        (record,) = build_dark_models(library)
    model = read_model(record.path)
    assert any("no biases" in note for note in model.notes)
    assert model.meta.exposure_range_s == (30.0, 300.0)
    dark = synthesise(model, 120.0, -10.0)
    assert abs(np.median(dark.pixels - camera.truth(120.0, -10.0))) < 0.2
    assert outside(model, 10.0, -10.0)


def test_a_particle_in_one_dark_is_not_modelled(tmp_path: Path) -> None:
    camera = DarkCamera()
    with Library.open(tmp_path) as library:
        camera.fill(library, (-10.0,), (0.0, 300.0), n=5)
        struck = camera.frame(300.0, -10.0)
        struck[40:44, 50:54] += 2000
        camera.shoot(library, 300.0, -10.0, "struck", pixels=struck)
        (record,) = build_dark_models(library)
    off = synthesise(read_model(record.path), 300.0, -10.0).pixels - camera.truth(300.0, -10.0)
    assert abs(off[40:44, 50:54].mean()) < 6.0


def test_a_particle_in_the_only_long_dark_is_not_modelled(tmp_path: Path) -> None:
    """It pulls the line to itself: the other darks have to say that it is the one that is off."""
    camera = DarkCamera()
    with Library.open(tmp_path) as library:
        camera.fill(library, (-10.0,), (0.0,), n=5)
        camera.fill(library, (-10.0,), (10.0, 20.0, 30.0, 60.0, 150.0), n=1)
        struck = camera.frame(300.0, -10.0)
        struck[40:44, 50:54] += 700
        camera.shoot(library, 300.0, -10.0, "struck", pixels=struck)
        (record,) = build_dark_models(library)
    off = synthesise(read_model(record.path), 60.0, -10.0).pixels - camera.truth(60.0, -10.0)
    assert abs(off[40:44, 50:54].mean()) < 6.0


@settings(max_examples=4, deadline=None)
@given(
    doubling_c=st.floats(5.0, 7.5),
    exponent=st.one_of(st.none(), st.floats(0.6, 0.85), st.floats(1.2, 1.6)),
    seed=st.integers(0, 2**16),
)
def test_the_law_is_found_again(doubling_c: float, exponent: float | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = [(t, c) for c in (-20.0, -10.0, 0.0) for t in (0.0, 30.0, 100.0, 300.0)]
    t, c = np.array(grid).T
    blocks = 100
    rate = rng.uniform(0.1, 0.3, blocks)
    glow = np.zeros(blocks)
    glow[:15] = rng.uniform(5, 60, 15)
    means = 500 + rng.normal(0, 2, blocks) + np.outer(t * 2 ** ((c + 10) / doubling_c), rate)
    if exponent is not None:
        means += np.outer((t / 300.0) ** exponent, glow)
    means += rng.normal(0, 0.05, means.shape)
    shots = Exposures(exposure_s=t, temp_c=c, exposed=t > 0, frames=np.ones(len(t)))
    fit = fit_law(means, shots, np.full(len(t), 0.05), read_noise_adu=1.6)
    assert abs(fit.law.doubling_c - doubling_c) < 5 * fit.law.doubling_error_c + 0.01
    assert (fit.law.glow_exponent is None) == (exponent is None)
    if exponent is not None and fit.glow_adu is not None and fit.law.glow_exponent is not None:
        assert fit.law.glow_exponent == pytest.approx(exponent, abs=0.03)
        assert fit.glow_adu[:15] == pytest.approx(glow[:15], abs=1.0)


def test_a_match_says_what_noise_the_synthesised_dark_will_leave(
    shot: tuple[DarkCamera, Path], tmp_path: Path
) -> None:
    path = synthesise_dark(model_path(shot[1]), 60.0, -15.0, tmp_path)
    light = replace(read_frame(path).meta, kind=FrameKind.LIGHT, n_combined=1)
    with Library.open(shot[1]) as library:
        found = match(library, light).dark
        elsewhere = match(library, replace(light, sensor_temp_c=None, set_temp_c=None)).dark
    assert found.coverage is Coverage.MODELLED
    assert found.residual_noise_adu == pytest.approx(read_frame(path).meta.noise_adu, rel=0.05)
    assert elsewhere.residual_noise_adu is None


@pytest.mark.fitsverify
def test_files_are_clean_and_made_once(shot: tuple[DarkCamera, Path], tmp_path: Path) -> None:
    path = synthesise_dark(model_path(shot[1]), 45.0, -7.54, tmp_path)
    first = path.stat().st_mtime_ns
    assert synthesise_dark(model_path(shot[1]), 45.0, -7.5, tmp_path) == path
    assert path.stat().st_mtime_ns == first
    frame = read_frame(path)
    assert (frame.meta.kind, frame.meta.exposure_s, frame.meta.sensor_temp_c) == (FrameKind.DARK, 45.0, -7.5)
    assert frame.meta.noise_adu is not None
    assert frame.meta.n_combined == 48
    done = subprocess.run(
        ["fitsverify", "-q", str(path), str(model_path(shot[1]))], capture_output=True, text=True, check=False
    )
    assert done.stdout.count("verification OK") == 2, done.stdout


@pytest.mark.siril
def test_siril_opens_them(shot: tuple[DarkCamera, Path], tmp_path: Path) -> None:
    path = synthesise_dark(model_path(shot[1]), 45.0, -7.5, tmp_path)
    (tmp_path / "model.fits").write_bytes(model_path(shot[1]).read_bytes())
    script = f"requires 1.0.0\nload {path.name}\nload model.fits\nclose\n"
    done = subprocess.run(
        ["siril-cli", "-d", str(tmp_path), "-s", "-"],
        input=script, capture_output=True, text=True, check=False,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.count("160x128 pixels") == 2, done.stdout


def test_a_file_that_is_no_model_is_refused(shot: tuple[DarkCamera, Path], tmp_path: Path) -> None:
    dark = synthesise_dark(model_path(shot[1]), 45.0, -7.5, tmp_path)
    with pytest.raises(LibraryError, match="no dark model"):
        read_model(dark)


def test_the_command(
    shot: tuple[DarkCamera, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.fits"
    asked = ["library", "dark", "--root", str(shot[1]), "-o", str(out), "--exposure", "45"]
    assert main([*asked, "--temp", "-7.5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["coverage"], told["doubling_is_prior"]) == ("inside", False)
    assert told["noise_adu"] < told["frame_noise_adu"]
    assert read_frame(out).meta.exposure_s == 45.0
    assert main([*asked, "--temp", "12"]) == 0
    assert "OUTSIDE" in capsys.readouterr().out
    assert main([*asked, "--temp", "-7.5", "--gain", "7"]) != 0
    assert "there are" in capsys.readouterr().err
    assert main([*asked[:-3], str(tmp_path / "d.png"), *asked[-2:], "--temp", "-7.5"]) == 2
    assert f"give -o {tmp_path / 'd.fits'}\n" in capsys.readouterr().err
