"""Lights that are a part of the sensor, or have an overscan, by command and in the night's stack."""

from __future__ import annotations

import gzip
import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from firstlight.applying import load
from firstlight.choices import used
from firstlight.choosing import choose
from firstlight.events import Event
from firstlight.stack_masters import load_masters
from firstlight.stacker import Job
from firstlight.stacks import Stacks
from library.cards import Card
from library.cutting import Extent
from library.defects import to_mend
from library.importing.take import Outcome, take_in
from library.masters import build_masters
from library.reading import open_image, read_frame, read_meta
from library.store import Library
from library.writing import encode_image, write_image
from livestack.events import SubAccepted
from livestack.masters import prepare
from tests.livestack.sky import Sky, motion, quantised
from tui.cli import main

SKY = Sky(shape=(180, 240), n_stars=70)
WHOLE = (260, 330)
AT = (41, 23)  # x, y: odd, so that a mosaic's corner is another one
PIECE = (slice(AT[1], AT[1] + SKY.shape[0]), slice(AT[0], AT[0] + SKY.shape[1]))
COMMON: tuple[Card, ...] = (
    ("INSTRUME", "Cam", ""),
    ("GAIN", 100.0, ""),
    ("CCD-TEMP", -10.0, ""),
    ("EXPTIME", 30.0, ""),
    ("DATE-OBS", "2026-03-01T22:00:00", ""),
)
RNG = np.random.default_rng(7)
DARK = RNG.integers(100, 900, WHOLE).astype(np.float32)  # a pattern: no other piece would do
Y, X = np.mgrid[: WHOLE[0], : WHOLE[1]]
FLAT = (0.7 + 0.3 * np.sin(X / 31) * np.cos(Y / 23)).astype(np.float32)
DEFECTS = (RNG.random(WHOLE) < 0.003).astype(np.uint8)
PLANES: dict[str, NDArray[Any]] = {"Dark": DARK, "Flat": FLAT, "Defect Map": DEFECTS}
NOWHERE: tuple[Card, ...] = (("OBJECT", "M 27", ""),)


def at(x: int, y: int = 0) -> tuple[Card, ...]:
    return ("XORGSUBF", x, ""), ("YORGSUBF", y, "")


def master(path: Path, kind: str, *cards: Card, piece: bool = False) -> Path:
    """A master of the whole sensor, or the light's piece of it as a file of its own."""
    pixels = PLANES[kind][PIECE] if piece else PLANES[kind]
    prefix = "" if kind == "Defect Map" else "Master "
    own: list[Card] = [("IMAGETYP", f"{prefix}{kind}", ""), ("NCOMBINE", 20, ""), ("FILTER", "L", "")]
    where = cards or at(*(AT if piece else (0, 0)))
    path.write_bytes(b"".join(encode_image(pixels, [*COMMON, *own, *where], exact=True)))
    return path


def lights(folder: Path, *cards: Card, n: int = 3) -> list[Path]:
    """Subs that the piece of dark and flat is in."""
    paths = []
    for number in range(n):
        frame = SKY.expose(motion(1.5 * number, -number, 0, SKY.shape), np.random.default_rng(number))
        paths.append(folder / f"l{number}.fits")
        own = [("IMAGETYP", "Light Frame", ""), ("FILTER", "L", "")]
        pixels = quantised(frame * FLAT[PIECE] + DARK[PIECE])
        write_image(paths[-1], pixels, [*COMMON, *own, *(cards or at(*AT))])
    return paths


def history(path: Path) -> str:
    with open_image(path) as (_, unit):
        lines = [raw.decode()[8:].strip() for raw in unit.raw_cards if raw.startswith(b"HISTORY")]
    return " ".join(lines)


@pytest.mark.parametrize("pattern", [None, "RGGB", "GBRG"])
def test_a_light_gets_its_piece_value_by_value(tmp_path: Path, pattern: str | None) -> None:
    """By the names of the files and out of a library; the mosaic is that of the light's own corner."""
    with Library.open(tmp_path / "root") as library:
        mosaic = () if pattern is None else (("BAYERPAT", pattern, ""),)
        paths = {kind: master(tmp_path / f"{kind}.fits", kind, *at(0), *mosaic) for kind in PLANES}
        for kind, path in paths.items():
            library.put_master(PurePosixPath("masters/Cam") / f"{kind}.fits", [path.read_bytes()])
        cell = np.array(list(pattern or "RGGB")).reshape(2, 2)
        own = "".join(np.roll(cell, (-AT[1], -AT[0]), (0, 1)).ravel())
        corner = () if pattern is None else (("BAYERPAT", own, ""),)
        (light,) = lights(tmp_path, *at(*AT), *corner, n=1)
        meta = read_meta(light)
        found, choices = choose(library, meta)
        assert "cut from 330×260" in found.dark.reasons
        assert all(each.usable for each in (found.dark, found.flat, found.defects))
        wanted = prepare(
            dark=DARK[PIECE],
            flat=FLAT[PIECE],
            defects=to_mend(DEFECTS[PIECE], dark=True),
            bayer_pattern=meta.bayer_pattern,
        )
        given_by_name = load_masters(
            *([paths["Dark"]], [paths["Flat"]], []), light=Extent.of(meta), defects=paths["Defect Map"]
        )
        for made in (load(used(choices), Extent.of(meta)), given_by_name):
            assert made.pedestal_adu is not None
            assert made.response is not None
            np.testing.assert_array_equal(made.pedestal_adu, DARK[PIECE])
            np.testing.assert_array_equal(made.response, wanted.response)
            assert made.defects is not None
            assert wanted.defects is not None
            np.testing.assert_array_equal(made.defects.places, wanted.defects.places)
            np.testing.assert_array_equal(made.defects.weights, wanted.defects.weights)


@pytest.mark.parametrize("method", ["live", "median"])
def test_a_stack_is_the_same_as_with_masters_of_the_light_s_own_frame(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    subs = [str(path) for path in lights(tmp_path)]
    pictures = []
    for piece in (False, True):
        given = ["--dark", str(master(tmp_path / f"d{piece}.fits", "Dark", piece=piece))]
        given += ["--flat", str(master(tmp_path / f"f{piece}.fits", "Flat", piece=piece))]
        given += ["--defects", str(master(tmp_path / f"b{piece}.fits", "Defect Map", piece=piece))]
        out, report = tmp_path / f"out{piece}.fits", tmp_path / f"r{piece}.json"
        more = ["-o", str(out), "--report", str(report), "--method", method]
        assert main(["stack", *subs, *given, *more]) == 0
        assert "warning" not in capsys.readouterr().err
        pictures.append(read_frame(out).pixels)
        told = {each["kind"]: each for each in json.loads(report.read_text())["calibration"]}
        for kind in ("dark", "flat", "defects"):
            assert ("cut from 330×260" in " ".join(told[kind]["reasons"])) == (not piece)
            assert told[kind]["coverage"] == ("exact" if piece else "acceptable")
        assert ("cut from 330x260" in history(out)) == (not piece)
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert float(np.median(pictures[0])) == pytest.approx(400 * np.median(FLAT[PIECE]), rel=0.02)


def test_raw_darks_and_flats_of_the_whole_sensor_are_combined_and_cut(tmp_path: Path) -> None:
    subs, files = [str(path) for path in lights(tmp_path)], dict[str, list[str]]()
    rng = np.random.default_rng(8)
    for kind, level in (("Dark", DARK), ("Bias", DARK), ("Flat", DARK + 20_000 * FLAT)):
        for number in range(3):
            path = tmp_path / f"{kind}{number}.fits"
            own = [("IMAGETYP", f"{kind} Frame", ""), ("FILTER", "L", "")]
            write_image(path, quantised(rng.normal(level, 2)), [*COMMON, *own, *at(0)])
            files.setdefault(kind, []).append(str(path))
    out = tmp_path / "out.fits"
    given = [f"--{kind.lower()}" for kind in files for _ in files[kind]]
    paths = [path for paths in files.values() for path in paths]
    arguments = [each for pair in zip(given, paths, strict=True) for each in pair]
    assert main(["stack", *subs, *arguments, "-o", str(out)]) == 0
    sky = read_frame(out).pixels[20:-20, 20:-20]
    assert float(np.median(sky)) == pytest.approx(400 * np.median(FLAT[PIECE]), rel=0.02)
    assert 1.4826 * float(np.median(np.abs(sky - np.median(sky)))) < 20  # DARK and FLAT scatter by more


@pytest.mark.parametrize(
    ("light", "dark", "said"),
    [
        (
            at(*AT),
            NOWHERE,
            "XORGSUBF and YORGSUBF, which say where on the sensor, are missing from the dark",
        ),
        (NOWHERE, at(0), "missing from the light"),
        (NOWHERE, NOWHERE, "missing from the dark and the light"),
        (at(100, 23), at(0), "it does not cover their place on the sensor"),
        (at(*AT), at(42), "it does not cover their place on the sensor"),
    ],
)
def test_a_dark_of_another_size_that_does_not_cover_the_lights_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    light: tuple[Card, ...],
    dark: tuple[Card, ...],
    said: str,
) -> None:
    subs = [str(path) for path in lights(tmp_path, *light)]
    given = master(tmp_path / "d.fits", "Dark", *dark)
    assert main(["stack", *subs, "--dark", str(given), "-o", str(tmp_path / "out.fits")]) == 2
    error = capsys.readouterr().err
    assert "d.fits: the dark is 330×260, the lights are 240×180; it cannot be applied" in error
    assert said in error


def test_a_smaller_dark_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subs = [str(path) for path in lights(tmp_path)]
    write_image(tmp_path / "d.fits", DARK[:100, :100], [*COMMON, ("NCOMBINE", 9, ""), *at(*AT)])
    assert main(["stack", *subs, "--dark", str(tmp_path / "d.fits"), "-o", str(tmp_path / "o.fits")]) == 2
    assert "the dark is 100×100, the lights are 240×180" in capsys.readouterr().err


def test_out_of_a_library_by_command_and_by_night_the_whole_serves_and_the_exact_one_is_preferred(
    tmp_path: Path,
) -> None:
    subs = lights(tmp_path)
    pictures = {}
    with Library.open(tmp_path / "root") as library:
        for kind in ("Dark", "Flat"):
            path = master(tmp_path / f"{kind}.fits", kind)
            library.put_master(PurePosixPath("masters/Cam") / f"A{kind}.fits", [path.read_bytes()])
        for name in ("whole", "exact"):
            said: list[Event] = []
            with Stacks(tmp_path / f"state{name}", tmp_path / name, "M 27", said.append) as stacks:
                for number, path in enumerate(subs):
                    _, choices = choose(library, read_meta(path))
                    stacks.add(Job(frame_id=str(number), path=str(path), choices=choices))
                stacks.finish()
            assert sum(isinstance(each, SubAccepted) for each in said) == len(subs)
            (stack,) = (tmp_path / name).glob("M*.fits")
            pictures[name] = read_frame(stack)
            out = tmp_path / f"{name}.fits"
            command = ["stack", *map(str, subs), "-o", str(out), "--library", str(tmp_path / "root")]
            assert main(command) == 0
            np.testing.assert_array_equal(read_frame(out).pixels, pictures[name].pixels)
            if name == "whole":
                assert "cut from 330x260" in history(stack)
            path = master(tmp_path / "own.fits", "Dark", piece=True)
            library.put_master(PurePosixPath("masters/Cam/Z.fits"), [path.read_bytes()])
    assert pictures["whole"].header["DARKFILE"] == "ADark.fits"
    assert (pictures["exact"].header["DARKFILE"], pictures["exact"].header["DARKCOV"]) == ("Z.fits", "exact")
    np.testing.assert_array_equal(pictures["whole"].pixels, pictures["exact"].pixels)


WIDE = 8
SECTIONS: tuple[Card, ...] = (
    ("TRIMSEC", f"[{WIDE + 1}:{WIDE + SKY.shape[1]},1:{SKY.shape[0]}]", ""),
    ("BIASSEC", f"[1:{WIDE},1:{SKY.shape[0]}]", ""),
)


def overscanned(path: Path, kind: str, picture: NDArray[Any], drift: float, rng: np.random.Generator) -> Path:
    """A frame on a pedestal of 500 ADU beside an overscan of 300, both lifted by so much."""
    overscan = rng.normal(300 + drift, 5, (SKY.shape[0], WIDE))
    own: list[Card] = [("IMAGETYP", f"{kind} Frame", ""), ("FILTER", "L", ""), *SECTIONS]
    write_image(path, quantised(np.hstack((overscan, picture + 500 + drift))), [*COMMON, *own])
    return path


def bent() -> NDArray[np.float32]:
    """The response: one in the middle, half in the corners."""
    y, x = ((np.arange(n) - n / 2) / n for n in SKY.shape)
    return np.asarray(1 - (x**2 + y[:, None] ** 2), np.float32)


def drifting(folder: Path) -> list[Path]:
    """Lights whose bias level is 80, 95, 110, 125 ADU above its usual one."""
    paths = []
    for number in range(4):
        rng = np.random.default_rng(number)
        frame = SKY.expose(motion(1.5 * number, -number, 0, SKY.shape), rng) * bent()
        paths.append(overscanned(folder / f"l{number}.fits", "Light", frame, 80 + 15 * number, rng))
    return paths


def bowl(pixels: NDArray[np.float32]) -> float:
    """How far the sky in the corners is above that of the middle, in ADU."""
    y, x = (n // 2 for n in pixels.shape)
    sides = slice(10, 40), slice(-40, -10)
    corners = [pixels[rows, columns] for rows in sides for columns in sides]
    return float(np.median(corners) - np.median(pixels[y - 30 : y + 30, x - 30 : x + 30]))


@pytest.mark.parametrize("packed", [False, True])
def test_a_night_whose_bias_level_drifts_is_flat_in_every_kind_of_stack(tmp_path: Path, packed: bool) -> None:
    """Lights with an overscan, a master that tells the level of its own."""
    subs = drifting(tmp_path)
    for path in subs if packed else ():
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    flat, dark = tmp_path / "flat.fits", tmp_path / "dark.fits"
    write_image(flat, bent(), [*COMMON, ("NCOMBINE", 9, ""), ("FILTER", "L", ""), *at(WIDE)])
    level: Card = ("OSCANADU", 300.0, "")
    bowls = {}
    for method, known in (("live", True), ("mean", True), ("live", False)):
        cards = [*COMMON, ("NCOMBINE", 9, ""), *at(WIDE), *([level] if known else [])]
        write_image(dark, np.full(SKY.shape, 500, np.float32), cards)
        out = tmp_path / f"{method}{known}.fits"
        more = ["--dark", str(dark), "--flat", str(flat), "-o", str(out), "--method", method, "--fresh"]
        more += ["--report", str(tmp_path / "r.json")]
        assert main(["stack", *map(str, subs), *more]) == 0
        picture = read_frame(out)
        assert picture.pixels.shape == SKY.shape
        assert not {"TRIMSEC", "BIASSEC", "DATASEC"} & picture.header.keys()
        shifts = [each["bias_shift_adu"] for each in json.loads((tmp_path / "r.json").read_text())["subs"]]
        assert shifts == (pytest.approx([80, 95, 110, 125], abs=0.5) if known else [None] * 4)
        assert picture.header.get("BIASSHFT") == (pytest.approx(102.5, abs=0.5) if known else None)
        assert ("bias level of 4 of 4 subs moved by +" in history(out)) == known
        bowls[method, known] = bowl(picture.pixels)
    assert abs(bowls["live", True]) < 2
    assert abs(bowls["mean", True]) < 2
    assert bowls["live", False] > 20


def test_raw_frames_with_an_overscan_serve_from_a_library_and_by_name(tmp_path: Path) -> None:
    """Darks and flats that drift, too, into masters, and these onto the lights: all that a night does."""
    rng = np.random.default_rng(9)
    subs, raw = drifting(tmp_path), dict[str, list[Path]]()
    for kind, light in (("Dark", 0.0), ("Bias", 0.0), ("Flat", 20_000 * bent())):
        for number, drift in enumerate((-20, -10, 0)):
            frame = rng.normal(light, 5, SKY.shape)
            path = overscanned(tmp_path / f"{kind}{number}.fits", kind, frame, drift, rng)
            raw.setdefault(kind, []).append(path)
    with Library.open(tmp_path / "root") as library:
        taken = list(take_in(library, [path for paths in raw.values() for path in paths]))
        assert {each.outcome for each in taken} == {Outcome.TAKEN}
        build_masters(library, on_refused=pytest.fail)
        with Stacks(tmp_path / "state", tmp_path / "night", "M 27", lambda _event: None) as stacks:
            for number, path in enumerate(subs):
                found, choices = choose(library, read_meta(path))
                assert [found.dark.coverage.value, found.flat.coverage.value] == ["exact", "exact"]
                stacks.add(Job(frame_id=str(number), path=str(path), choices=choices))
            stacks.finish()
    (night,) = (tmp_path / "night").glob("M*.fits")
    by_name = [
        each for kind, paths in raw.items() for path in paths for each in (f"--{kind.lower()}", str(path))
    ]
    ways = {"library": ["--library", str(tmp_path / "root")], "names": by_name}
    for name, arguments in ways.items():
        assert main(["stack", *map(str, subs), *arguments, "-o", str(tmp_path / f"{name}.fits")]) == 0
    for stack in (night, *(tmp_path / f"{name}.fits" for name in ways)):
        picture = read_frame(stack)
        assert picture.header["BIASSHFT"] == pytest.approx(112.5, abs=1)  # the darks' mean is 10 ADU below
        assert abs(bowl(picture.pixels)) < 2
