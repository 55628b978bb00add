"""Which library a night uses: the one of all nights, unless it was begun with another."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acquire.errors import PlanError
from acquire.plan import Lights, Plan, plan_to_dict
from acquire.plan_file import plan_from_dict
from firstlight.config import config_file, default_library, default_root
from firstlight.errors import FirstlightError
from firstlight.night_library import library_for, night_mark


def configure(text: str) -> None:
    config_file().parent.mkdir(parents=True, exist_ok=True)
    config_file().write_text(text, encoding="utf-8")


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def begin(root: Path, library: Path) -> str | None:
    """What a session does."""
    (library / "library").mkdir(parents=True, exist_ok=True)
    root.mkdir(exist_ok=True)
    return night_mark(root, library)


def test_what_is_said_nearest_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    night = tmp_path / "night"
    assert default_library() == default_root(), "as it was before there were settings"
    configure(f'library = "{tmp_path}/configured"\n')
    assert library_for(night, None) == tmp_path / "configured"
    monkeypatch.setenv("FIRSTLIGHT_LIBRARY", str(tmp_path / "environment"))
    assert library_for(night, None) == tmp_path / "environment"
    assert library_for(night, tmp_path / "given") == tmp_path / "given"


def test_the_home_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FIRSTLIGHT_ROOT")
    assert default_library() == tmp_path / "firstlight"
    configure('library = "~/astro"\n')
    assert default_library() == tmp_path / "astro"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("library = ", "cannot be read"),
        ("library = 3", "must be a folder"),
        ('library = "astro"', "must be a folder"),
        ('library = "~no-such-user/astro"', "no-such-user"),
        ('libary = "/astro"', 'did you mean "library"'),
        ("x = 1", "allowed are library"),
        ("library = \udcff", "cannot be read"),
    ],
)
def test_settings_that_are_no_good_are_named(text: str, says: str) -> None:
    config_file().parent.mkdir(parents=True)
    config_file().write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FirstlightError, match=says) as caught:
        default_library()
    assert str(config_file()) in str(caught.value)


def test_a_night_of_before_keeps_its_own_library(tmp_path: Path) -> None:
    night = tmp_path / "night"
    (night / "library").mkdir(parents=True)
    assert library_for(night, None) == night
    assert library_for(night, night) == night
    assert night_mark(night, night) is None, "its frames have no mark, and it goes on with them"
    assert [each.name for each in night.iterdir()] == ["library"]
    with pytest.raises(FirstlightError, match="leave --library out"):
        library_for(night, tmp_path / "other")


def test_each_root_is_a_night_and_goes_on_where_it_began(tmp_path: Path) -> None:
    library, other = tmp_path / "astro", tmp_path / "other"
    roots = [tmp_path / name for name in ("one", "two", "three")]
    marks = [begin(root, library) for root in roots]
    assert len(set(marks)) == 3
    assert None not in marks
    assert [night_mark(root, library) for root in roots] == marks
    (other / "library").mkdir(parents=True)
    configure(f'library = "{other}"\n')
    assert library_for(roots[0], None) == library, "settings that change meanwhile change no night"
    with pytest.raises(FirstlightError, match="leave --library out"):
        library_for(roots[0], other)


def test_a_library_that_was_moved_is_asked_for(tmp_path: Path) -> None:
    library, moved, night = tmp_path / "astro", tmp_path / "moved", tmp_path / "night"
    mark = begin(night, library)
    library.rename(moved)
    for named in (None, library, tmp_path / "nowhere"):
        with pytest.raises(FirstlightError, match="mount its disk"):
            library_for(night, named)
    assert library_for(night, moved) == moved
    assert night_mark(night, moved) == mark
    assert library_for(night, None) == moved


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    said=st.binary(max_size=80)
    | st.sampled_from(
        [b"{}", b"[]", b"null", b'{"night": 3, "library": "/x"}', b'{"night": "a", "library": 3}']
    )
)
def test_a_mark_that_is_no_mark_is_a_sentence(tmp_path: Path, said: bytes) -> None:
    night = tmp_path / "night"
    night.mkdir(exist_ok=True)
    (night / "night.json").write_bytes(said)
    with pytest.raises(FirstlightError, match=r"night\.json"):
        library_for(night, None)


def test_a_night_s_frames_are_its_own_and_its_plan_s_file_does_not_say_which() -> None:
    plan = Plan(name="x", lights=(Lights(exposure_s=1, count=2),))
    one, two = (Plan(name="x", lights=plan.lights, night=night) for night in ("a1", "b2"))
    assert len({plan.plan_id, one.plan_id, two.plan_id}) == 3
    assert all(each.plan_id.startswith(plan.plan_id) for each in (one, two))
    assert plan_to_dict(one) == plan_to_dict(plan)
    assert [step.step_id for step in one.steps()] == [step.step_id for step in plan.steps()]
    with pytest.raises(PlanError, match="night: no such key"):
        plan_from_dict({"name": "x", "night": "a1", "lights": [{"exposure_s": 1, "count": 1}]})
