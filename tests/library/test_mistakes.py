"""What a beginner gets wrong with ``firstlight library``, and what he is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from library.store import Library
from tests.library.frames import fits_bytes, stamp
from tui.cli import main

READERS = (
    ("list",),
    ("status",),
    ("masters", "build"),
    ("verify",),
    ("rebuild",),
    ("drift",),
    ("retire", "x"),
    ("expire", "--older-than", "3"),
    ("export", "out"),
    ("dark", "--exposure", "1", "--temp", "0", "-o", "o.fits"),
    ("match", "x.fits"),
)


@pytest.mark.parametrize("command", READERS, ids=lambda command: command[0])
def test_a_root_that_is_not_there_is_told_and_not_made(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typo = tmp_path / "typo"
    assert main(["library", *command, "--root", str(typo)]) == 2
    assert f"{typo}: there is no such folder" in capsys.readouterr().err
    assert not typo.exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("list",), "The library is empty"),
        (("list", "--kind", "dark"), "No frame is like this"),
        (("list", "--retired"), "No frame is retired."),
        (("status",), "The library is empty"),
        (("masters", "build"), "nothing to build: the library has no frames"),
        (("export", "out"), "no frame to export"),
    ],
)
def test_an_empty_library_says_so(
    command: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["library", *command, "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith(said)
    assert main(["library", *command, "--root", str(tmp_path), "--json"]) == 0
    out = capsys.readouterr().out
    assert all(json.loads(line) for line in out.splitlines()), "programs are told nothing else"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("match", "absent.fits"), "absent.fits: there is no such file"),
        (("match", "."), ".: is a directory, not a FITS image"),
        (("add", ".", "--rules", "absent.toml"), "absent.toml: cannot be read as rules: No such file"),
        (("expire", "--older-than", "-3"), "--older-than -3: give a number of days"),
        (("expire", "--older-than", "nan"), "--older-than nan: give a number of days"),
        (("expire", "--older-than", "1e9"), "--older-than 1e+09: give a number of days"),
    ],
)
def test_a_mistake_is_one_sentence(
    command: tuple[str, ...],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["library", *command, "--root", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("masters", "build", "--min-frames", "0"), "'0' is not a whole number from 1 up"),
        (("masters", "build", "--memory", "-3"), "'-3' is not a whole number from 1 up"),
        (("shoot", "--exposures", "0,60"), "'0,60' is not seconds, more than 0 each"),
        (("shoot", "--exposures", "1m"), "'1m' is not numbers with commas between"),
        (("add",), "required: PATH"),
        (("frobnicate",), "invalid choice: 'frobnicate'"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(
    command: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["library", *command])
    assert said in capsys.readouterr().err


def test_values_for_what_is_already_here_are_not_ignored_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dark = tmp_path / "dark.fits"
    dark.write_bytes(
        fits_bytes(cards=(("IMAGETYP", "dark", ""), ("INSTRUME", "Cam", ""), ("EXPTIME", 5.0, "")))
    )
    root = ["--root", str(tmp_path / "root")]
    assert main(["library", "add", str(dark), *root]) == 0
    assert "keeps its header" not in capsys.readouterr().out
    assert main(["library", "add", str(dark), "--set", "GAIN=100", *root]) == 0
    assert "What is already here keeps its header." in capsys.readouterr().out


def test_a_missing_file_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent.fits"
    assert main(["library", "add", str(absent), "--root", str(tmp_path / "root")]) == 1
    assert capsys.readouterr().out.count("absent.fits") == 1
    assert main(["library", "add", str(absent), "--json", "--root", str(tmp_path / "root")]) == 1
    assert "No such file" in json.loads(capsys.readouterr().out)["reason"]


def test_plan_keeps_to_eighty_columns_and_says_what_it_assumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('name = "X"\n[camera]\ntemperature_c = -10\n[[lights]]\nexposure_s = 60\ncount = 40\n')
    with Library.open(tmp_path) as library:
        library.add(fits_bytes(), stamp("light"))
    assert main(["library", "plan", str(plan), "--root", str(tmp_path), "--dither", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "  each master may add 1 % to the stack's variance; the subs are not dithered"
    assert any("read noise" in line and "assumed" in line for line in lines)
    assert [line for line in lines if len(line) > 80] == []


def test_match_keeps_to_eighty_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Library.open(tmp_path) as library:
        light = library.add(fits_bytes(), stamp("light"))
    assert main(["library", "match", str(light.path), "--root", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "rules ([matching] in library.toml changes the numbers)" in lines
    assert [line for line in lines if len(line) > 80 and str(tmp_path) not in line] == []
