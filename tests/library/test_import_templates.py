"""File names in Ekos's and N.I.N.A.'s tokens: written, read back, and never leading out of the library."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from library.errors import LibraryError
from library.frames import FrameKind, FrameMeta
from library.naming import first_free, frame_path
from library.store import Library
from library.templates import EKOS, NINA, Template
from tests.library.frames import fits_bytes, stamp

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def meta(**changes: object) -> FrameMeta:
    values: dict[str, object] = {
        "kind": FrameKind.LIGHT, "width": 1, "height": 1, "camera": "ASI 294", "exposure_s": 120.0,
        "sensor_temp_c": -10.2, "set_temp_c": -10.0, "gain": 120.0, "offset": 30.0, "filter": "Ha",
        "object_name": "M 27", "plan_id": "plan7", "date_obs": NOW,
    }  # fmt: skip
    return FrameMeta(**(values | changes))  # type: ignore[arg-type]  # the test's own fields


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("%t/%T/%F/%t_%T_%F_%e_%s3", "M_27/Light/Ha/M_27_Light_Ha_120_secs_007"),
        ("%exposure|%exp|%E", "120_secs_120_120"),
        ("%C_%B_G%G_O%O_%I", "-10_1x1_G120_O30_120"),
        ("%temperature_%bin_%gain_%offset_%sequence", "-10_1x1_120_30_7"),
        ("%f_%P_%s", "plan7_7"),
        (
            "$$TARGETNAME$$\\$$IMAGETYPE$$_$$FILTER$$_$$EXPOSURETIME$$s_$$FRAMENR$$",
            "M_27/LIGHT_Ha_120.00s_0007",
        ),
        ("$$SENSORTEMP$$_$$GAIN$$_$$OFFSET$$_$$BINNING$$", "-10.20_120_30_1x1"),
        ("$$CAMERA$$/$$TEMPERATURESETPOINT$$", "ASI_294/-10.00"),
    ],
)
def test_tokens_mean_what_they_mean_to_ekos_and_nina(template: str, name: str) -> None:
    assert "/".join(Template(template).expand(meta(), NOW, 7)) == name


def test_times_are_local_and_a_night_keeps_one_date(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC+5")
    time.tzset()
    try:
        at = meta(date_obs=datetime(2026, 3, 2, 8, 30, tzinfo=UTC))  # 03:30 in the morning there
        assert Template("%D").expand(at, NOW) == ["2026-03-02T03-30-00"]
        assert Template("$$DATEMINUS12$$/$$DATETIME$$").expand(at, NOW) == [
            "2026-03-01",
            "2026-03-02_03-30-00",
        ]
        assert Template("$$DATEUTC$$_$$TIMEUTC$$").expand(at, NOW) == ["2026-03-02_08-30-00"]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_value_that_is_not_known_takes_ekos_separator_along_and_leaves_ninas() -> None:
    dark = meta(kind=FrameKind.DARK)
    assert Template("%T_%F_%e").expand(dark, NOW) == ["Dark_120_secs"]
    assert Template("$$IMAGETYPE$$_$$FILTER$$_$$GAIN$$").expand(dark, NOW) == ["DARK__120"]


@pytest.mark.parametrize(
    "text", ["", "/", "..", "../%t", "a/../%t", "./%t", "%q", "100%", "$$target$$", "%t/ .. /x"]
)
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"names no file|no token"):
        Template(text)


NASTY = st.text(st.sampled_from("/\\.~$%*?\0\n äM27-_ "), max_size=12)


@given(
    target=NASTY,
    filter_name=NASTY,
    camera=NASTY,
    tokens=st.lists(st.sampled_from([*EKOS, *NINA]), max_size=6),
)
def test_no_text_of_a_device_leads_out_of_the_library(
    target: str, filter_name: str, camera: str, tokens: list[str]
) -> None:
    text = "x/" + "/".join(f"%{token}" if token in EKOS else f"$${token}$$" for token in tokens) + "_y"
    nasty = meta(object_name=target, filter=filter_name, camera=camera, read_mode=target, telescope=target)
    path = frame_path(nasty, "id", NOW, Template(text), 2)
    assert path.parts[0] == "frames"
    assert not path.is_absolute()
    assert all(
        part not in {"", ".", ".."} and not part.startswith(".") and "\0" not in part for part in path.parts
    )


@pytest.mark.parametrize(
    ("template", "name", "values"),
    [
        (
            "%t/%T/%F/%t_%T_%F_%e_%D_%s",
            "M_1/Light/Ha/M_1_Light_Ha_60_secs_2026-01-01T22-00-00_004.fits",
            {"OBJECT": "M_1", "IMAGETYP": "Light", "FILTER": "Ha", "EXPTIME": 60},
        ),
        ("%t_%T_%F_%e", "M_1_Dark_60_secs.fits.gz", {"OBJECT": "M_1", "IMAGETYP": "Dark", "EXPTIME": 60}),
        ("%T_%e_%C_%B_%G_%O_%s", "Bias_0.001_secs_-10_2x2_100_30_9.fit", {
            "IMAGETYP": "Bias", "EXPTIME": 0.001, "CCD-TEMP": -10, "XBINNING": 2, "YBINNING": 2,
            "GAIN": 100, "OFFSET": 30,
        }),
        ("%T_%C_%G", "Dark_-1_-1.fits", {"IMAGETYP": "Dark"}),
        (
            "$$DATEMINUS12$$\\$$IMAGETYPE$$\\$$DATETIME$$_$$FILTER$$_$$SENSORTEMP$$_$$EXPOSURETIME$$s_$$FRAMENR$$",
            "2026-01-01/DARK/2026-01-01_23-00-00__-10.00_300.00s_0001.xisf",
            {"IMAGETYP": "DARK", "CCD-TEMP": -10.0, "EXPTIME": 300.0},
        ),
        ("$$TARGETNAME$$_$$HFR$$_$$GAIN$$", "M 31_2.31_100.fits", {"OBJECT": "M 31", "GAIN": 100}),
    ],
)  # fmt: skip
def test_values_are_read_out_of_names(template: str, name: str, values: dict[str, object]) -> None:
    assert Template(template).read(Path("/disk") / name) == values


def test_a_name_that_is_not_like_the_template_gives_nothing() -> None:
    assert Template("%T_%e").read(Path("whatever.fits")) is None


@given(st.integers(0, 3000))
def test_the_first_free_number_is_found_in_few_questions(taken: int) -> None:
    asked = []

    def is_taken(number: int) -> bool:
        asked.append(number)
        return number <= taken

    assert first_free(is_taken) == taken + 1
    assert len(asked) <= 26


def test_a_library_has_the_template_of_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "library.toml").write_text("[matching]\nx = 1\n[files]\ntemplate = '%t/%T_%F_%s3'\n")
    with Library.open(tmp_path) as library:
        paths = [library.add(fits_bytes(seed=n), stamp(f"f{n}", step_id=f"{n}")).path for n in range(3)]
        assert [path.relative_to(library.folder) for path in paths] == [
            Path(f"frames/M_27/Light_L_{n:03}.fits") for n in (1, 2, 3)
        ]
    with Library.open(tmp_path) as library:
        assert len(library.find()) == 3


def test_names_that_collide_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "library.toml").write_text("[files]\ntemplate = '%t'\n")
    with Library.open(tmp_path) as library:
        names = [library.add(fits_bytes(seed=n), stamp(f"f{n}")).path.name for n in range(3)]
    assert names == ["M_27.fits", "M_27_2.fits", "M_27_3.fits"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[files]\ntemplate = 7\n", "not a text"),
        ("[files]\ntemplate = '../%t'\n", "names no file"),
        ("[files]\ntemplate = '$$HFR$$'\n", "does not know"),
        ("files = 3\n", "not a section"),
        ("[files\n", "cannot be read"),
        (f"x = {'9' * 5000}\n", "cannot be read"),
    ],
)
def test_a_faulty_configuration_is_told_and_nothing_is_left_open(
    text: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "library.toml").write_text(text)
    with pytest.raises(LibraryError, match=reason):
        Library.open(tmp_path)


def test_the_default_name_is_what_it_was() -> None:
    assert frame_path(meta(step_id="0001"), "f1", NOW) == PurePosixPath(
        "frames/2026-03-01/M_27/light_Ha_120s_0001_f1.fits"
    )
