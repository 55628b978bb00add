"""Import, export, import: the same frames, whatever their headers and names."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from library.export import export
from library.frames import FrameRecord
from library.importing.files import find_files
from library.importing.rules import Rule, setting
from library.importing.take import How, Outcome, take_in
from library.store import Library
from library.templates import Template
from tests.library.test_import_headers import EKOS, NINA, SIRIL, write

TEMPLATES = (None, "%t/%T_%F_%e_%s3", "%T", "$$TARGETNAME$$\\$$IMAGETYPE$$_$$FRAMENR$$")

headers = st.fixed_dictionaries(
    {
        "IMAGETYP": st.sampled_from(
            ["Light Frame", "DARK", "Bias Frame", "Flat Field", "DARKFLAT", "Master Dark"]
        ),
        "INSTRUME": st.sampled_from(["ASI 294", "x"]),
        "EXPTIME": st.sampled_from([0.5, 60.0]),
    },
    optional={
        "OBJECT": st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
        "FILTER": st.sampled_from(["Ha", "a/b", ".."]),
        "CCD-TEMP": st.sampled_from([-10.0, -273.15, 263.15]),
        "DATE-OBS": st.sampled_from(["2026-01-01T20:00:00", "2026-01-01T13:00:00-0700", "never"]),
        "STACKCNT": st.sampled_from([1, 12]),
    },
)


def said(records: list[FrameRecord]) -> list[tuple[str, str]]:
    return sorted((record.sha256, repr(record.meta)) for record in records)


@contextmanager
def folders() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def take_all(root: Path, folder: Path, **options: Any) -> list[Outcome]:
    with Library.open(root) as library:
        taken = list(take_in(library, find_files([folder]).files, **options))
        assert [imported.reason for imported in taken if imported.reason] == []
        return [imported.outcome for imported in taken]


def records_of(root: Path) -> list[FrameRecord]:
    with Library.open(root) as library:
        return library.find()


@given(
    frames=st.lists(headers, min_size=1, max_size=4),
    template=st.sampled_from(TEMPLATES),
    how=st.sampled_from([How.COPY, How.LINK]),
    gain=st.sampled_from([(), ("GAIN=100",)]),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_import_export_import_is_stable(
    frames: list[dict[str, Any]], template: str | None, how: How, gain: tuple[str, ...]
) -> None:
    with folders() as at:
        for number, header in enumerate(frames):
            write(at / "in" / f"frame{number}.fits", header, seed=number)
        values = {key: value for text in gain for key, value in setting(text).items()}
        first = take_all(at / "one", at / "in", how=how, rules=[Rule(origin="--set", values=values)])
        assert set(first) == {Outcome.TAKEN}
        names = template and Template(template)
        with Library.open(at / "one") as library:
            done = list(export(at / "one", library.find(), at / "out", names or None))
        assert len({each.path for each in done}) == len(frames)
        assert set(take_all(at / "two", at / "out")) == {Outcome.TAKEN}
        one, two = records_of(at / "one"), records_of(at / "two")
        assert sorted(repr(r.meta) for r in one) == sorted(repr(r.meta) for r in two)
        assert sorted(r.path.relative_to(at / "one").as_posix().removesuffix(".fits") for r in one) == sorted(
            r.path.relative_to(at / "two").as_posix().removesuffix(".fits") for r in two
        )
        if how is How.COPY:
            assert said(one) == said(two)
        # Back where they came from, and out once more, nothing is new.
        assert set(take_all(at / "one", at / "out")) == {Outcome.HERE}
        with Library.open(at / "two") as library:
            again = list(export(at / "two", library.find(), at / "out", names or None))
        assert not any(each.is_new for each in again)


def test_every_program_of_the_field_comes_back_as_it_went(tmp_path: Path) -> None:
    for number, header in enumerate([EKOS, NINA | {"IMAGETYP": "LIGHT"}, SIRIL]):
        write(tmp_path / "in" / f"{number}.fits", header, seed=number)
    take_all(tmp_path / "one", tmp_path / "in")
    with Library.open(tmp_path / "one") as library:
        list(export(tmp_path / "one", library.find(), tmp_path / "out"))
    take_all(tmp_path / "two", tmp_path / "out")
    assert said(records_of(tmp_path / "one")) == said(records_of(tmp_path / "two"))


def test_frames_of_one_name_are_numbered(tmp_path: Path) -> None:
    pixels = [np.full((2, 2), number, np.uint16) for number in range(40)]
    for number, each in enumerate(pixels):
        write(tmp_path / "in" / f"{number}.fits", EKOS, pixels=each)
    take_all(tmp_path / "one", tmp_path / "in")
    with Library.open(tmp_path / "one") as library:
        done = list(export(tmp_path / "one", library.find(), tmp_path / "out", Template("%T_%s2")))
    assert sorted(each.path.name for each in done) == [f"Dark_{number:02}.fits" for number in range(1, 41)]
