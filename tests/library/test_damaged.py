"""Headers that no camera writes, and catalogues that no SQLite wrote: a sentence, and ``rebuild`` works."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from library.cards import CardValue
from library.errors import DamagedCatalogueError, LibraryError
from library.importing.source import read_source
from library.importing.take import Outcome, take_in
from library.keywords import frame_meta
from library.rebuilding import rebuild
from library.store import Library
from tests.library.frames import INDI_CARDS, fits_bytes, stamp
from tui.cli import main

CATALOGUE = Path("library/catalogue.sqlite")


def with_card(card: str, seed: int = 0) -> bytes:
    """A frame with a card as no library would write it."""
    fits = fits_bytes(cards=(*INDI_CARDS, ("DAMAGED", 0, "")), seed=seed)
    at = fits.index(b"DAMAGED ")
    return fits[:at] + card.ljust(80).encode("latin-1") + fits[at + 80 :]


@pytest.mark.parametrize(
    "card",
    [
        "NCOMBINE= 1E300",
        "NCOMBINE= 99999999999999999999999999",
        "NCOMBINE= -1E300",
        "STACKCNT= '1E300   '",
        "XORGSUBF= 1E300",
        "BINNING = '99999999999999999999x99999999999999999999'",
        "DATE-OBS= '0001-01-01T00:00:00'",
        "DATE-OBS= '9999-12-31T23:59:59-12:00'",
        "EXPTIME = 1E300",
        "GAIN    = 1E308",
        "CCD-TEMP= -1E300",
        "TRIMSEC = '[1:99999999999999999999999,1:20]'",
        "OBJECT  = '\x1b]0;x\x07\n'",
    ],
)
def test_an_absurd_card_makes_no_library_unusable(tmp_path: Path, card: str) -> None:
    (tmp_path / "night").mkdir()
    (tmp_path / "night/a.fits").write_bytes(with_card(card, seed=1))
    (tmp_path / "night/b.fits").write_bytes(fits_bytes(seed=2))
    assert main(["library", "add", str(tmp_path / "night"), "--root", str(tmp_path)]) == 0
    for command in (["status"], ["list"], ["verify"], ["rebuild"], ["status"]):
        assert main(["library", *command, "--root", str(tmp_path)]) == 0
    with Library.open(tmp_path) as library:
        assert len(library.find()) == 2


@pytest.mark.parametrize("digits", [400, 5000])
def test_numbers_of_hundreds_of_digits_are_none(digits: int) -> None:
    many = "9" * digits
    section, both = f"[1:{many},1:2]", f"{many}x{many}"
    header: dict[str, CardValue] = {
        "NCOMBINE": 10**400,
        "GAIN": many,
        "TRIMSEC": section,
        "BIASSEC": section,
        "BINNING": both,
    }
    meta = frame_meta(header, 36, 24)
    assert (meta.n_combined, meta.gain, meta.width, meta.binning) == (1, None, 36, (1, 1))


def test_a_file_that_cannot_be_indexed_is_named_and_the_rest_is_there(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        library.add(fits_bytes(seed=1), stamp("f1"))
    folder = tmp_path / "library/frames"
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.fits")).write_bytes(fits_bytes(seed=2))
    with Library.open(tmp_path) as library:
        assert len(library.find()) == 1
        assert len(library.reconciled.refused) == 1
    done = rebuild(tmp_path / "library")
    assert (done.frames, len(done.refused)) == (1, 1)
    assert "its name is no UTF-8 text" in done.reasons[done.refused[0]]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE frame SET date_obs = '2026-13-41T99:00:00'",
        "UPDATE frame SET date_obs = '2026-03-01T22:15:00+99:00'",
        "UPDATE frame SET kind = 'lihgt'",
        "UPDATE frame SET width = 0",
        "UPDATE frame SET n_combined = 9223372036854775807",
        "UPDATE frame SET retired_at = 'never'",
        "UPDATE frame SET camera = CAST(x'ff' AS TEXT)",
        "UPDATE revision SET masters = 9223372036854775807",
        "ALTER TABLE frame RENAME COLUMN gain TO gaim",
        "ALTER TABLE frame RENAME TO farme",
        "PRAGMA user_version = 1000000",
        "PRAGMA user_version = 2",
        "PRAGMA user_version = -5",
    ],
)
def test_a_damaged_row_is_a_sentence_that_names_rebuild_and_rebuild_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    _library_of_two(tmp_path)
    connection = sqlite3.connect(tmp_path / CATALOGUE)
    connection.execute(damage)
    connection.commit()
    connection.close()
    for command in ("status", "list"):
        status = main(["library", command, "--root", str(tmp_path)])
        said = capsys.readouterr().err
        assert (status, said.count("library rebuild")) in {(2, 1), (0, 0)}
    assert main(["library", "rebuild", "--root", str(tmp_path)]) == 0
    with Library.open(tmp_path) as library:
        assert len(library.find()) == 2
        library.put_master(PurePosixPath("masters/c/DARK.fits"), [fits_bytes(seed=9)])


def _library_of_two(root: Path) -> None:
    with Library.open(root) as library:
        library.add(fits_bytes(seed=1), stamp("f1"))
        library.add(fits_bytes(seed=2), stamp("f2"))


@pytest.mark.parametrize("seed", range(40))
def test_bits_flipped_in_the_catalogue_never_lose_a_frame(tmp_path: Path, seed: int) -> None:
    _library_of_two(tmp_path)
    file = tmp_path / CATALOGUE
    rng = np.random.default_rng(seed)
    content = bytearray(file.read_bytes())
    if seed % 4 == 0:
        del content[rng.integers(1, len(content)) :]
    used = np.flatnonzero(np.frombuffer(bytes(content), np.uint8))  # the rest is empty space in pages
    for at in rng.choice(used, min(len(used), int(rng.integers(1, 40))), replace=False):
        content[at] ^= 1 << int(rng.integers(8))
    file.write_bytes(content)
    try:
        with Library.open(tmp_path) as library:
            library.find()
    except LibraryError as error:
        assert "rebuild" in str(error) or isinstance(error, DamagedCatalogueError)  # noqa: PT017
    assert main(["library", "rebuild", "--root", str(tmp_path)]) == 0
    with Library.open(tmp_path) as library:
        assert {record.meta.frame_id for record in library.find()} == {"f1", "f2"}


def test_lines_of_retirements_that_are_none_are_passed_over(tmp_path: Path) -> None:
    _library_of_two(tmp_path)
    lines = [
        '{"frame_id": "f1", "path": "x", "at": "never", "because": "y"}',
        '{"frame_id": ["f1"], "path": "x", "at": "2026-01-01T00:00:00+00:00", "because": "y"}',
        '{"frame_id": 1e300, "path": "x", "at": "2026-01-01T00:00:00+00:00", "because": 1e300}',
        "[" * 100_000,
        '{"frame_id": "f2", "path": "x", "at": "2026-01-01T00:00:00+00:00", "because": "clouds"}',
    ]
    (tmp_path / "library/retired.jsonl").write_text("".join(f"{line}\n" for line in lines))
    assert main(["library", "rebuild", "--root", str(tmp_path)]) == 0
    with Library.open(tmp_path) as library:
        assert [record.meta.frame_id for record in library.find()] == ["f1"]


def test_one_bad_file_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from library.importing import take

    for name, seed in (("a", 1), ("b", 2), ("c", 3)):
        (tmp_path / f"{name}.fits").write_bytes(fits_bytes(seed=seed))
    files = [tmp_path / f"{name}.fits" for name in ("a", "gone", "b", "c")]
    whole = read_source

    def breaks(path: Path) -> object:
        if path.stem == "b":
            raise OverflowError("of a decoder's own")
        return whole(path)

    monkeypatch.setattr(take, "read_source", breaks)
    with Library.open(tmp_path) as library:
        outcomes = [each.outcome for each in take_in(library, files)]
    assert outcomes == [Outcome.TAKEN, Outcome.REFUSED, Outcome.REFUSED, Outcome.TAKEN]
