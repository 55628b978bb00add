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
from firstlight.doctor import examine
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
