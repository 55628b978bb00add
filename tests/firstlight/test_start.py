"""What a session is started with: addresses, specs, the demo's plan; and what starting must not load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquire.plan_file import read_plan
from firstlight.config import default_root, last_root, parse_address, remember_root
from firstlight.demo import SHARES, plan_toml, split
from firstlight.doctor import Finding, examine
from firstlight.errors import FirstlightError
from firstlight.launch import SessionSpec, Simulated
from library.frames import FrameKind


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.168.1.20:7624", ("192.168.1.20", 7624)),
        ("observatory.local", ("observatory.local", 7624)),
        ("[::1]:7625", ("::1", 7625)),
        ("[::1]", ("::1", 7624)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", ":", "host:", "host:0", "host:65536", "host:indi", ":7624"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(FirstlightError, match="HOST:PORT"):
        parse_address(text)


@given(st.integers(1, 500))
def test_the_demo_shoots_as_many_lights_as_asked(subs: int) -> None:
    counts = split(subs)
    assert sum(counts.values()) == subs
    assert len(counts) == min(subs, len(SHARES)), "every filter, if there are enough"
    assert max(counts.values()) == counts["L"]


@pytest.mark.parametrize("subs", [1, 4, 30])
def test_the_demos_plan_is_a_plan(tmp_path: Path, subs: int) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(plan_toml(subs))
    kinds = [step.kind for step in read_plan(file).steps()]
    assert kinds.count(FrameKind.LIGHT) == subs


@given(
    st.builds(
        SessionSpec,
        root=st.text(),
        plan=st.text(),
        indi=st.none() | st.text(),
        simulated=st.none() | st.builds(Simulated, seed=st.integers(), speed=st.floats(allow_nan=False)),
    )
)
def test_a_session_is_started_with_what_was_meant(spec: SessionSpec) -> None:
    assert SessionSpec.from_json(spec.to_json()) == spec


def test_attach_finds_the_night_that_was_started_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("FIRSTLIGHT_ROOT", str(tmp_path / "default"))
    assert last_root() == default_root() == tmp_path / "default"
    remember_root(tmp_path / "night")
    assert last_root() == tmp_path / "night"


def test_the_doctor_finds_what_is_here_and_says_how_to_get_the_rest(tmp_path: Path) -> None:
    findings = {each.what: each for each in examine(tmp_path / "not" / "yet", "127.0.0.1:1")}
    assert all(each.found for each in findings.values() if each.required)
    assert "writable" in findings["root folder"].detail
    server = findings["INDI server"]
    assert not server.found
    assert "firstlight simulate" in server.remedy
    assert all(each.remedy for each in findings.values() if not each.found)
    assert list(tmp_path.iterdir()) == [], "it looks, and changes nothing"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file that is not there yet, and nothing of the developer's environment."""
    for name in ("FIRSTLIGHT_LIBRARY", "FIRSTLIGHT_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "config" / "firstlight").mkdir(parents=True)
    return tmp_path / "config" / "firstlight" / "config.toml"


def findings_of(root: Path) -> dict[str, Finding]:
    return {each.what: each for each in examine(root, "127.0.0.1:1")}


def test_the_doctor_tells_the_library_and_who_names_it(
    tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = findings_of(tmp_path / "night")
    assert found["settings"].detail == f"{settings} is not there, and need not be"
    assert found["library"].detail.startswith(f"{tmp_path / 'home' / 'firstlight'}: the default")
    monkeypatch.setenv("FIRSTLIGHT_ROOT", str(tmp_path / "root"))
    assert findings_of(tmp_path / "night")["library"].detail.startswith(
        f"{tmp_path / 'root'}: $FIRSTLIGHT_ROOT"
    )
    settings.write_text(f'library = "{tmp_path / "astro"}"\n')
    found = findings_of(tmp_path / "night")
    assert found["settings"].detail == str(settings)
    assert found["library"].detail.startswith(f"{tmp_path / 'astro'}: {settings}; empty yet, writable")
    (tmp_path / "astro" / "library").mkdir(parents=True)
    assert "empty" not in findings_of(tmp_path / "night")["library"].detail
    monkeypatch.setenv("FIRSTLIGHT_LIBRARY", str(tmp_path / "other"))
    assert findings_of(tmp_path / "night")["library"].detail.startswith(
        f"{tmp_path / 'other'}: $FIRSTLIGHT_LIBRARY"
    )
    (tmp_path / "night" / "library").mkdir(parents=True)  # a night that was begun keeps its own
    told = findings_of(tmp_path / "night")["library"].detail
    assert told.startswith(f"{tmp_path / 'night'}: it belongs to the night on {tmp_path / 'night'}")


def test_settings_that_cannot_be_used_are_a_finding(tmp_path: Path, settings: Path) -> None:
    settings.write_text("libary = 1\n")
    found = findings_of(tmp_path / "night")["settings"]
    assert not found.found
    assert found.required
    assert 'did you mean "library"?' in found.detail


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    findings = {each.what: each for each in examine(Path("/proc/firstlight"), "127.0.0.1:1")}
    assert not findings["root folder"].found
    assert "--root" in findings["root folder"].remedy


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("tui.cli", {"numpy", "astropy", "textual", "cv2", "sep", "sqlite3", "asyncio", "PyIndi"}),
        ("acquire.indi.worker", {"numpy", "astropy", "textual", "cv2", "sqlite3"}),
        ("firstlight.session", {"textual", "rich", "PyIndi", "cv2", "simulators", "livestack.engine"}),
        ("livestack.engine", {"textual", "PyIndi", "sqlite3"}),
        ("develop.colour", {"textual", "PyIndi", "sqlite3"}),
    ],
)
def test_each_process_loads_what_it_needs_and_no_more(module: str, unwanted: set[str]) -> None:
    code = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not unwanted & set(json.loads(told.stdout))
