"""``firstlight library list|status|verify|rebuild|retire|expire``, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from library.cards import Card
from library.frames import FrameKind
from library.store import Library
from library.writing import encode_image
from tests.library.frames import fits_bytes, stamp
from tests.library.test_upkeep import rot
from tui.cli import main


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Darks of nine exposures, a master of two of them, and a light."""
    with Library.open(tmp_path) as library:
        for number in range(9):
            dark = stamp(
                f"d{number}",
                kind=FrameKind.DARK,
                exposure_s=10.0 * (number + 1),
                filter=None,
                object_name=None,
            )
            library.add(fits_bytes(seed=number), dark)
        library.add(fits_bytes(seed=20), stamp("light"))
        dark_master: list[Card] = [
            ("IMAGETYP", "Master Dark", ""),
            ("NCOMBINE", 2, ""),
            ("EXPTIME", 20.0, ""),
            ("FRAMEID", "master-d", ""),
        ]
        shown: list[Card] = [
            ("INSTRUME", "CCD Simulator", ""),
            ("GAIN", 120.0, ""),
            ("OFFSET", 30.0, ""),
            ("READOUTM", "High Gain", ""),
            ("SET-TEMP", -10.0, ""),
            ("CCD-TEMP", -10.0, ""),
            ("DATE-OBS", "2026-03-01T22:15:00.123", ""),
        ]
        buffers = encode_image(np.zeros((24, 36), np.float32), dark_master + shown)
        library.put_master(PurePosixPath("masters/cam/DARK.fits"), buffers)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], root: Path, *arguments: str, status: int = 0) -> list[str]:
    assert main(["library", *arguments, "--root", str(root)]) == status
    return capsys.readouterr().out.splitlines()


def test_list_filters_and_aligns(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    title, *lines = said(
        capsys, root, "list", "--kind", "dark", "--temp", "-10.2", "--subs", "--camera", "ccd"
    )
    assert len(lines) == 9
    at = title.index("path")
    assert {line[at:].split("/")[0] for line in lines} == {"frames"}
    (line,) = said(capsys, root, "list", "--masters", "--json")
    assert json.loads(line)["n_combined"] == 2
    nothing = ["No frame is like this: `firstlight library status` shows what there is."]
    assert said(capsys, root, "list", "--exposure", "77") == nothing


def test_status_fits_eighty_columns_and_says_the_same_in_json(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, root, "status")
    grid = [line for line in lines if "°C" in line]
    assert len(grid) == 2  # nine exposures do not fit beside each other
    assert " 1! " in grid[0]  # a master of two, one of which is no longer there
    assert sum(line.count("1- ") for line in grid) == 8
    assert all(len(line) <= 80 for line in lines[:-1] if "×" not in line)
    (line,) = said(capsys, root, "status", "--json")
    facts = json.loads(line)
    (setup,) = facts["setups"]
    assert [cell["subs"] for cell in setup["cells"]] == [1] * 9
    assert [cell["master"] for cell in setup["cells"]] == ["missing", "stale"] + ["missing"] * 7
    assert setup["lights"] == 1


def test_verify_finds_all_that_is_wrong_and_exits_with_1(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, root, "verify")[-1].endswith("nothing wrong")
    with Library.open(root) as library:
        records = library.find(kind=FrameKind.DARK, master=False)
    rot(records[0].path)
    records[1].path.unlink()
    for options in ([], ["--since", "1"]):
        lines = said(capsys, root, "verify", "--json", *options, status=1)
        faults = {root / "library" / json.loads(line)["path"] for line in lines}
        assert faults == {records[0].path, records[1].path}
    assert any("restore it" in line for line in said(capsys, root, "rebuild"))
    assert any("forgotten" in line for line in said(capsys, root, "rebuild", "--trust-files"))
    said(capsys, root, "verify")


def test_retire_and_expire_choose_say_and_can_be_undone(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, root, "retire", "d0", "--dry-run")[-1].startswith("1 would be retired")
    assert said(capsys, root, "retire", "d0", "masters/cam/DARK.fits", "--because", "leak")[-1].startswith(
        "2 "
    )
    assert not any("stays in use" in line for line in said(capsys, root, "retire", "d2", "--dry-run"))
    told = said(capsys, root, "list", "--retired")
    assert sum("(retired: leak)" in line for line in told) == 2
    assert said(capsys, root, "retire", "--undo", "--masters")[0] == "masters/cam/DARK.fits"
    assert main(["library", "retire", "--root", str(root)]) != 0
    assert main(["library", "retire", "nobody", "--root", str(root)]) != 0
    capsys.readouterr()
    assert said(capsys, root, "expire", "--older-than", "0", "--kind", "dark", "--subs")[-1].startswith("8 ")
    assert len(said(capsys, root, "list", "--kind", "dark")) == 2
    assert said(capsys, root, "retire", "--undo", "--kind", "dark")[-1].startswith("9 live again")


def test_a_master_whose_frames_are_all_retired_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The root's master is of 20 s, as is d1."""
    for options in (["--dry-run"], []):
        lines = said(capsys, root, "retire", "d1", *options)
        assert lines[1:3] == [
            "DARK.fits was made of such frames alone and stays in use; retire it too:",
            "  firstlight library retire masters/cam/DARK.fits",
        ]
        assert lines[3].startswith("1 ")
    assert len(said(capsys, root, "retire", "masters/cam/DARK.fits")) == 2
