"""Lights without a dark of their temperature: a dark model stands in, scaled to each, and it is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstlight.choices import in_a_line, used
from firstlight.choosing import OptimiseDark, choose
from firstlight.events import DarkScaled, Stamped, decode, encode
from firstlight.stacker import Job
from firstlight.stacks import Stacks
from firstlight.stream import utc_now
from firstlight.telling import describe
from library.cards import Card
from library.dark_model import build_dark_models
from library.defects import build_defect_maps
from library.errors import LibraryError
from library.frames import FrameKind, FrameRecord
from library.masters import build_masters
from library.reading import open_image, read_frame
from library.store import Library
from livestack.events import SubAccepted, SubRejected
from tests.library.dark_camera import DarkCamera
from tests.library.frames import fits_bytes, stamp
from tests.livestack.sky import Sky, motion
from tui.cli import main

SKY = Sky(shape=(256, 320))
TRUE_K = 1.3
SETTINGS = {"gain": None, "offset": None, "read_mode": None}


class Observer:
    """A camera whose darks are of −15, −5 and 5 °C, and lights of it that hold more dark than they say."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.camera = DarkCamera(shape=SKY.shape)
        own = np.random.default_rng(5)
        self.camera.hot_places = own.choice(self.camera.rate.size, 600, replace=False)
        self.camera.cards = (*self.camera.cards, ("XORGSUBF", 0, ""), ("YORGSUBF", 0, ""))

    def light(self, number: int, k: float = TRUE_K, corner: tuple[int, int] = (0, 0)) -> FrameRecord:
        """All of the sensor, or what lies below and right of a corner (x, y)."""
        rng = np.random.default_rng(100 + number)
        dark = self.camera.truth(30.0, -10.0) - self.camera.bias
        seen = SKY.expose(motion(1.5 * number, 0.7 * number), rng, sky_adu=100.0, noise_adu=5.0)
        pixels = np.clip(np.rint(seen + self.camera.bias + rng.poisson(k * dark)), 0, 65535)
        pixels = pixels[corner[1] :, corner[0] :]
        where: tuple[Card, ...] = (("XORGSUBF", corner[0], ""), ("YORGSUBF", corner[1], ""))
        cards = (*self.camera.cards[:-2], *where, ("DATE-OBS", "2026-03-01T22:00:00", ""))
        name = stamp(
            f"light{number}",
            step_id=f"light{number}",
            camera="Cam",
            sensor_temp_c=-10.1,
            set_temp_c=-10.0,
            **SETTINGS,
        )
        return self.library.add(fits_bytes(pixels.astype(np.uint16), cards), name)


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose library has masters and a dark model."""
    root = tmp_path_factory.mktemp("modelled") / "root"
    with Library.open(root) as library:
        Observer(library).camera.fill(library, (-15.0, -5.0, 5.0), (0.0, 20.0, 60.0), n=4)
        build_masters(library)
        assert len(build_dark_models(library)) == 1
    return root


@pytest.fixture
def observer(tmp_path: Path, modelled: Path) -> Iterator[Observer]:
    shutil.copytree(modelled, tmp_path / "root")
    with Library.open(tmp_path / "root") as library:
        yield Observer(library)


def stacked(folder: Path, library: Library, lights: list[FrameRecord], **more: Any) -> tuple[Path, list[Any]]:
    """The stack of the lights as the stacking process would make it, and what was told of each."""
    told: list[Any] = []
    with Stacks(folder / "state", folder, "M 27", told.append) as stacks:
        for record in lights:
            _, choices = choose(library, record.meta, **more)
            job = Job(frame_id=str(record.meta.frame_id), path=str(record.path), choices=choices)
            stacks.add(Job.from_dict(json.loads(json.dumps(job.to_dict()))))
        verdicts = [each for each in told if isinstance(each, DarkScaled | SubAccepted | SubRejected)]
        stacks.finish()
    return next(folder.glob("M*.fits")), verdicts


def history(path: Path) -> str:
    with open_image(path) as (_, unit):
        lines = [raw.decode()[8:].strip() for raw in unit.raw_cards if raw.startswith(b"HISTORY")]
    return " ".join(lines)


def test_lights_without_a_fitting_dark_get_the_model_s_scaled_to_each(
    tmp_path: Path, observer: Observer
) -> None:
    lights = [observer.light(number) for number in range(4)]
    (tmp_path / "a").mkdir()
    path, told = stacked(tmp_path / "a", observer.library, lights)
    assert [type(event) for event in told] == [DarkScaled, SubAccepted] * 4
    scalings = [event for event in told if isinstance(event, DarkScaled)]
    for scaled in scalings:
        assert scaled.from_light, scaled.reason
        assert scaled.factor == pytest.approx(TRUE_K, abs=4 * scaled.error)
        assert scaled.error < 0.03
    header = read_frame(path).header
    assert header["DARKCOV"] == "modelled"
    assert str(header["DARKFILE"]).startswith("DARK_30s_T-10C")
    assert header["DARKK"] == pytest.approx(TRUE_K, abs=0.05)
    assert header["DARKKERR"] == pytest.approx(0.01, abs=0.02)
    assert header["BIASFILE"] == "none", "the bias is within the dark"
    said = history(path)
    assert "a dark is synthesised for this exposure and temperature" in said
    assert "scaled to each light above DARK_0s_T-10C" in said
    assert "dark scaled to 4 of 4 subs: x1." in said

    line = describe(Stamped(time=utc_now(), run="", event=scalings[0]))
    assert line is not None
    assert line.startswith("dark L scaled ×1.")
    stamped = Stamped(time=utc_now(), run="", event=scalings[0])
    assert decode(encode(stamped)).event == scalings[0]
    assert "dark modelled (DARK_30s_T-10C" in in_a_line(choose(observer.library, lights[0].meta)[1])


def test_a_subframe_gets_its_piece_of_the_model_s_dark(tmp_path: Path, observer: Observer) -> None:
    """Its warm pixels are where the light has them: else no light would tell how much of it there is."""
    lights = [observer.light(number, corner=(35, 21)) for number in range(3)]
    assert (lights[0].meta.width, lights[0].meta.height) == (285, 235)
    (tmp_path / "a").mkdir()
    path, told = stacked(tmp_path / "a", observer.library, lights)
    assert [type(event) for event in told] == [DarkScaled, SubAccepted] * 3
    for scaled in told[::2]:
        assert scaled.from_light, scaled.reason
        assert scaled.factor == pytest.approx(TRUE_K, abs=4 * scaled.error)
    assert read_frame(path).header["DARKCOV"] == "modelled"
    assert "cut from 320x256" in history(path)


def test_what_is_left_of_the_dark_is_least_where_it_is_scaled(tmp_path: Path, observer: Observer) -> None:
    """The sky is left, so no bias went twice; unscaled, what the scaling takes off is left too."""
    lights = [observer.light(number) for number in range(3)]
    levels = {}
    for optimise in (OptimiseDark.MODELLED, OptimiseDark.NEVER):
        (folder := tmp_path / optimise).mkdir()
        path, told = stacked(folder, observer.library, lights, optimise=optimise)
        assert any(isinstance(event, DarkScaled) for event in told) == (optimise is OptimiseDark.MODELLED)
        levels[optimise] = read_frame(path).pixels[20:-20, 20:-20].astype(np.float64)
    typical = float(np.median(observer.camera.truth(30.0, -10.0) - observer.camera.bias))
    median = {optimise: float(np.median(level)) for optimise, level in levels.items()}
    assert median[OptimiseDark.MODELLED] == pytest.approx(100.0, abs=2.0), "sky, and nothing of the camera"
    assert median[OptimiseDark.NEVER] == pytest.approx(100.0 + (TRUE_K - 1) * typical, abs=2.0)


def test_a_dark_that_fits_is_scaled_only_when_asked(tmp_path: Path, observer: Observer) -> None:
    library = observer.library
    observer.camera.fill(library, (-10.0,), (30.0,), n=4)
    build_masters(library)
    light = observer.light(0)
    _, as_it_is = choose(library, light.meta)
    _, asked = choose(library, light.meta, OptimiseDark.ALWAYS)
    dark, bias = as_it_is[0], as_it_is[1]
    assert dark.coverage in {"exact", "acceptable"}
    assert (dark.scaled_above, bias.coverage) == (None, "not_needed")
    assert asked[0].path == dark.path
    assert asked[0].scaled_above is not None
    assert "BIAS" in Path(asked[0].scaled_above).name
    assert len(asked[0].sha256s) == 2
    assert [each.kind for each in used(asked)] == ["dark"], "the bias is never taken off by itself"
    (tmp_path / "asked").mkdir()
    _, told = stacked(tmp_path / "asked", library, [light], optimise=OptimiseDark.ALWAYS)
    assert told[0].factor == pytest.approx(TRUE_K, abs=0.1)
    for record in library.find(kind=FrameKind.BIAS, master=True):
        library.retire([record], "for this test")
    _, without = choose(library, light.meta, OptimiseDark.ALWAYS)
    assert without[0].scaled_above is None
    assert "not scaled to the lights: no bias fits" in without[0].reasons


def test_a_light_that_does_not_tell_keeps_the_dark_as_it_is(tmp_path: Path) -> None:
    with Library.open(tmp_path / "calm") as library:
        calm = Observer(library)
        calm.camera.hot_places = calm.camera.hot_places[:5]
        calm.camera.rate[:] = 0.001
        calm.camera.fill(library, (-15.0, -5.0, 5.0), (0.0, 20.0, 60.0), n=4)
        build_dark_models(library)
        (tmp_path / "out").mkdir()
        path, told = stacked(tmp_path / "out", library, [calm.light(0)])
        assert isinstance(told[0], DarkScaled)
        assert (told[0].from_light, told[0].factor) == (False, 1.0)
        assert "are needed" in told[0].reason
        assert "dark not scaled to 1 of 1 subs" in history(path)
        line = describe(Stamped(time=utc_now(), run="", event=told[0]))
        assert line is not None
        assert "not scaled to the light" in line


def test_the_owner_of_the_library_says_whether(tmp_path: Path, observer: Observer) -> None:
    config, light = tmp_path / "root" / "library.toml", observer.light(0)
    assert choose(observer.library, light.meta)[1][0].scaled_above is not None
    config.write_text('[calibration]\noptimise_dark = "never"\n')
    assert choose(observer.library, light.meta)[1][0].scaled_above is None
    config.write_text('[calibration]\noptimise_dark = "perhaps"\n')
    with pytest.raises(LibraryError, match="none of modelled, always, never"):
        choose(observer.library, light.meta)


@pytest.fixture
def files(tmp_path: Path, observer: Observer) -> list[str]:
    """Lights that left the library."""
    lights = [observer.light(number) for number in range(3)]
    paths = [tmp_path / f"mine{number}.fits" for number in range(3)]
    for record, path in zip(lights, paths, strict=True):
        path.write_bytes(record.path.read_bytes())
    return [str(path) for path in paths]


def test_stack_finds_the_masters_in_a_library(
    tmp_path: Path, observer: Observer, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root, out, report = str(observer.library.folder.parent), tmp_path / "out.fits", tmp_path / "r.json"
    command = ["stack", *files, "-o", str(out), "--library", root, "--report", str(report)]
    assert main(command) == 0
    assert "warning" not in capsys.readouterr().err
    told = json.loads(report.read_text())
    dark = told["calibration"][0]
    assert (dark["kind"], dark["coverage"]) == ("dark", "modelled")
    assert all(sub["dark_scaling"]["factor"] == pytest.approx(TRUE_K, abs=0.05) for sub in told["subs"])
    header = read_frame(out).header
    assert header["DARKCOV"] == "modelled"
    assert header["DARKK"] == pytest.approx(TRUE_K, abs=0.05)
    assert "a dark is synthesised" in history(out)
    for record in observer.library.find(kind=FrameKind.DARK_MODEL):
        observer.library.retire([record], "for this test")
    assert main(command) == 0
    assert "warning: mine0.fits: no dark applied" in capsys.readouterr().err
    assert read_frame(out).header["DARKFILE"] == "none"


def test_stack_scales_a_given_dark_when_asked_and_mends_by_a_given_map(
    tmp_path: Path, observer: Observer, files: list[str]
) -> None:
    library = observer.library
    observer.camera.fill(library, (-10.0,), (30.0,), n=4)
    build_masters(library)
    defects = build_defect_maps(library)
    masters = library.find(master=True)
    (dark,) = (r for r in masters if r.meta.kind is FrameKind.DARK and r.meta.exposure_s == 30.0)
    bias = next(r for r in masters if r.meta.kind is FrameKind.BIAS)
    mended = next(r for r in defects if r.path.stem.endswith("T-10C_bin1"))
    out, report = tmp_path / "out.fits", tmp_path / "r.json"
    given = ["--dark", str(dark.path), "--bias", str(bias.path), "--defects", str(mended.path)]
    assert main(["stack", *files, "-o", str(out), "--report", str(report), *given, "--optimise-dark"]) == 0
    told = json.loads(report.read_text())
    assert all(sub["dark_scaling"]["factor"] == pytest.approx(TRUE_K, abs=0.05) for sub in told["subs"])
    header = read_frame(out).header
    assert header["DEFSFILE"] == mended.path.name
    assert header["BIASFILE"] == "none"
    assert header["DARKK"] == pytest.approx(TRUE_K, abs=0.05)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--library", "ROOT", "--dark", "d.fits"], "leave out d.fits"),
        (["--library", "nowhere"], "there is no library"),
        (["--optimise-dark", "--dark", "LIGHT"], "give both --dark and --bias"),
        (["--defects", "LIGHT"], "not a defect map"),
    ],
)
def test_what_contradicts_itself_is_told(
    tmp_path: Path, files: list[str], capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    meant = {"ROOT": str(tmp_path / "root"), "LIGHT": files[0]}
    command = ["stack", *files, "-o", str(tmp_path / "out.fits"), *(meant.get(word, word) for word in words)]
    assert main(command) == 2
    assert says in capsys.readouterr().err
