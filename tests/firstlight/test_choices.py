"""The choice of masters and its reasons reach the log, the stack's header, the report and the user."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from firstlight.choices import gist, in_a_line
from firstlight.choosing import choose, model_temp_c
from firstlight.errors import FirstlightError
from firstlight.events import AdviceGiven, CalibrationChosen, Event, MasterBuilt, Stamped
from firstlight.stack_calibration import Wanted
from firstlight.stack_files import stack_files
from firstlight.stack_job import StackJob
from firstlight.stack_report import Said, Told
from firstlight.stacker import Job
from firstlight.stacks import Stacks
from firstlight.state import NightState, reduce
from firstlight.telling import describe, level
from library.cards import Card
from library.frames import FrameKind, FrameMeta
from library.reading import open_image, read_frame, read_meta
from library.store import Library
from library.writing import encode_image, write_image
from livestack.events import SubAccepted, SubRejected
from tests.livestack.sky import Sky, motion, quantised
from tui.cli import main

SKY, PEDESTAL_ADU = Sky(), 150.0
CARDS: tuple[Card, ...] = (
    ("INSTRUME", "Cam", ""),
    ("EXPTIME", 30.0, ""),
    ("GAIN", 100.0, ""),
    ("CCD-TEMP", -10.0, ""),
    ("DATE-OBS", "2026-03-01T22:00:00", ""),
)


def light_file(path: Path, number: int = 0, *cards: Card) -> Path:
    rng = np.random.default_rng(number)
    pixels = quantised(SKY.expose(motion(2.0 * number, 0), rng) + PEDESTAL_ADU)
    write_image(path, pixels, {c[0]: c for c in [*CARDS, ("IMAGETYP", "Light Frame", ""), *cards]}.values())
    return path


def master_cards(kind: str, **changes: Any) -> list[Card]:
    cards = {card[0]: card for card in CARDS} | {
        "IMAGETYP": ("IMAGETYP", f"Master {kind}", ""),
        "NCOMBINE": ("NCOMBINE", 20, ""),
    }
    cards |= {key.replace("_", "-"): (key.replace("_", "-"), value, "") for key, value in changes.items()}
    return list(cards.values())


def flat_level() -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.full(SKY.shape, PEDESTAL_ADU, np.float32)


def history(path: Path) -> str:
    with open_image(path) as (_, unit):
        lines = [raw.decode()[8:].strip() for raw in unit.raw_cards if raw.startswith(b"HISTORY")]
    return " ".join(lines)


@pytest.fixture
def library(tmp_path: Path) -> Any:
    with Library.open(tmp_path / "root") as store:
        for name, cards in (
            ("DARK.fits", master_cards("Dark", NOISEADU=1.25)),
            ("WARM.fits", master_cards("Dark", CCD_TEMP=5.0)),
        ):
            store.put_master(PurePosixPath("masters/Cam") / name, encode_image(flat_level(), cards))
        yield store


def chosen(library: Library, meta: FrameMeta) -> Any:
    return choose(library, meta)[1]


def test_the_live_stack_s_header_says_what_it_was_calibrated_with_and_why(
    tmp_path: Path, library: Library
) -> None:
    said: list[Event] = []
    with Stacks(tmp_path / "state", tmp_path, "M 27", said.append) as stacks:
        for number in range(4):
            path = light_file(
                tmp_path / f"l{number}.fits", number, ("CCD-TEMP", 0.0 if number == 3 else -10.0, "")
            )
            choices = chosen(library, read_meta(path))
            job = Job(frame_id=str(number), path=str(path), choices=choices)
            job = Job.from_dict(json.loads(json.dumps(job.to_dict())))
            assert job.choices == choices
            stacks.add(job)
        assert sum(isinstance(each, SubAccepted) for each in said) == 4
        stacks.finish()
    stack = next(tmp_path.glob("M*.fits"))
    header = read_frame(stack).header
    assert (header["DARKFILE"], header["DARKCOV"], header["DARKRES"]) == ("DARK.fits", "exact", 1.25)
    assert (header["FLATFILE"], header["FLATCOV"]) == ("none", "missing")
    assert (header["BIASFILE"], header["BIASCOV"]) == ("none", "not_needed")
    told = history(stack)
    assert "calibration of 3 subs: dark: exact: DARK.fits: 20 frames" in told
    assert "calibration of 1 sub: dark: temperature: WARM.fits: 20 frames, +5.0 degC from the frame" in told
    assert "flat: missing: there is no master flat" in told


def test_a_sub_that_is_out_does_not_count_in_the_advice(tmp_path: Path) -> None:
    """The last one shows another field, and saturated stars only."""
    said: list[Event] = []
    elsewhere = Sky(seed=5, flux_range=(2e6, 8e6), n_stars=60)
    with Stacks(tmp_path / "state", tmp_path, "M 27", said.append) as stacks:
        for number in range(3):
            path = light_file(tmp_path / f"l{number}.fits", number)
            stacks.add(Job(frame_id=str(number), path=str(path)))
        path = light_file(tmp_path / "other.fits", 3)
        pixels = quantised(elsewhere.expose(motion(), np.random.default_rng(9)))
        write_image(path, pixels, [*CARDS, ("IMAGETYP", "Light Frame", "")])
        stacks.add(Job(frame_id="other", path=str(path)))
        stacks.refresh()
    assert sum(isinstance(each, SubAccepted) for each in said) == 3
    assert [each.reason for each in said if isinstance(each, SubRejected)] == ["no match"]
    advice = [each.advice for each in said if isinstance(each, AdviceGiven)][-1]
    assert not advice.sub_length.saturating


def test_the_log_tells_it_in_a_line_and_warns_of_what_does_not_fit(library: Library) -> None:
    meta = FrameMeta(
        kind=FrameKind.LIGHT,
        width=SKY.shape[1],
        height=SKY.shape[0],
        camera="Cam",
        exposure_s=30.0,
        gain=100.0,
        sensor_temp_c=-10.0,
        date_obs=datetime(2026, 3, 1, 22, tzinfo=UTC),
    )
    good = chosen(library, meta)
    line = "dark exact (DARK.fits, leaves 1.2 ADU of noise); no flat; no defect map"
    assert in_a_line(good) == line
    warm = chosen(library, dataclasses.replace(meta, sensor_temp_c=0.0))
    assert "no dark applied (temperature: WARM.fits" in in_a_line(warm)
    events = [
        Stamped(
            time=datetime(2026, 3, 1, tzinfo=UTC), run="", event=CalibrationChosen(filter="L", choices=each)
        )
        for each in (good, warm)
    ]
    assert [level(event) for event in events] == ["info", "warning"]
    assert describe(events[0]) == f"calibration L: {line}"
    state = reduce(NightState(), events[1])
    assert state.calibration == events[1].event
    assert state.log[-1].level == "warning"
    assert gist(chosen(library, dataclasses.replace(meta, sensor_temp_c=-10.1))) == gist(good)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("dark", "master dark from 24 frames of 60 s"),
        ("defects", "defect map from 24 frames"),
        ("dark_model", "dark model from 24 frames"),
    ],
)
def test_what_was_built_is_called_by_its_name(kind: str, line: str) -> None:
    event = MasterBuilt(kind=kind, path="x.fits", n_frames=24, exposure_s=60.0, filter=None)
    assert describe(Stamped(time=datetime(2026, 3, 1, tzinfo=UTC), run="", event=event)) == line


@pytest.mark.parametrize(
    ("sensor_c", "set_c", "wanted_c"),
    [(-10.2, -10.0, -10.0), (-8.0, -10.0, -8.0), (-7.7, None, -7.5), (None, -5.0, -5.0), (None, None, None)],
)
def test_a_sensor_s_jitter_makes_no_dark_for_every_light(
    sensor_c: float | None, set_c: float | None, wanted_c: float | None
) -> None:
    meta = FrameMeta(kind=FrameKind.LIGHT, width=1, height=1, sensor_temp_c=sensor_c, set_temp_c=set_c)
    assert model_temp_c(meta) == wanted_c


def test_an_unfit_dark_on_the_command_line_is_applied_and_told_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lights = [light_file(tmp_path / f"l{i}.fits", i) for i in range(3)]
    dark = tmp_path / "md.fits"
    write_image(dark, flat_level(), master_cards("Dark", EXPTIME=60.0, GAIN=0.0, CCD_TEMP=-9.5))
    out, report = tmp_path / "out.fits", tmp_path / "r.json"
    arguments = ["stack", *map(str, lights), "-o", str(out), "--dark", str(dark), "--report", str(report)]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "firstlight: warning: the dark does not fit and is applied all the same" in said
    assert "md.fits for l0.fits: gain 0, wanted 100" in said
    assert "exposure 60 s, wanted 30 s ± 0.3 s" in said
    told = {each["kind"]: each for each in json.loads(report.read_text())["calibration"]}
    assert (told["dark"]["coverage"], told["dark"]["path"]) == ("incompatible", str(dark))
    assert told["flat"]["coverage"] == "missing"
    header = read_frame(out).header
    assert (header["DARKFILE"], header["DARKCOV"]) == ("md.fits", "incompatible")
    assert "gain 0, wanted 100" in history(out)
    assert read_frame(out).pixels[0, 0] < 600, "it was applied"


def test_a_dark_that_fits_is_no_reason_to_warn_and_one_of_another_size_is_refused(tmp_path: Path) -> None:
    lights = [light_file(tmp_path / f"l{i}.fits", i) for i in range(2)]
    fit, small = tmp_path / "fit.fits", tmp_path / "small.fits"
    write_image(fit, flat_level(), master_cards("Dark"))
    write_image(small, np.zeros((20, 30), np.float32), master_cards("Dark"))
    told: list[Told] = []
    job = StackJob(output=tmp_path / "out.fits", wanted=Wanted(darks=[fit]))
    report = stack_files(lights, job, told.append)
    assert not [each for each in told if isinstance(each, Said)]
    assert [each.coverage for each in report.calibration] == ["exact", "not_needed", "missing"]
    with pytest.raises(FirstlightError, match=r"small.fits: the dark is 30×20, the lights are 480×360"):
        stack_files(lights, StackJob(output=tmp_path / "out.fits", wanted=Wanted(darks=[small])))


def test_library_match_prints_the_answer_for_people_and_for_programs(
    tmp_path: Path, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    light = light_file(tmp_path / "light.fits")
    root = str(library.folder.parent)
    assert main(["library", "match", str(light), "--json", "--root", root]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == ["dark", "bias", "flat", "flat_dark", "defects"]
    assert all(
        set(each) == {"coverage", "path", "residual_noise_adu", "fields", "near_misses"}
        for each in answer.values()
    )
    assert (answer["dark"]["coverage"], answer["dark"]["residual_noise_adu"]) == ("exact", 1.25)
    assert answer["dark"]["path"] == str(library.folder / "masters/Cam/DARK.fits")
    assert {"name": "gain", "wanted": 100.0, "found": 100.0, "verdict": "same"} in answer["dark"]["fields"]
    miss = answer["dark"]["near_misses"][0]
    assert miss["path"].endswith("WARM.fits")
    assert miss["ruled_out_by"] == ["temperature 5.0 °C, wanted -10.0 °C ± 1 °C"]
    assert main(["library", "match", str(light), "--root", root]) == 0
    text = capsys.readouterr().out
    assert "dark: exact, fits in every field" in text
    assert "WARM.fits" not in text, "what else there is matters only where something does not fit"
    assert "darks: temperature ± 1 °C, exposure ± 0.05 s or 1.0%" in text
    assert main(["library", "match", str(tmp_path / "no.fits"), "--root", root]) == 2
    assert "no.fits" in capsys.readouterr().err
