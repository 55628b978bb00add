"""A root folder whose night ends with the test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.night.nights import Night, kill_night


@pytest.fixture(autouse=True)
def own_home(own_settings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder of the test's own: what is remembered there is not the user's, but for compiled loops."""
    compiled = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    compiled.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(compiled))
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("FIRSTLIGHT_ROOT", raising=False)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A root folder with the library of all nights; whatever runs on it is killed in the end."""
    folder = tmp_path / "root"
    monkeypatch.setenv("FIRSTLIGHT_LIBRARY", str(folder))
    yield folder
    if (folder / "journal").is_dir():
        kill_night(folder)


@pytest.fixture
def start(root: Path) -> Iterator[Callable[..., Night]]:
    """Start a command that shows a night on the root; call it with the command's words."""
    nights: list[Night] = []

    def begin(*arguments: object) -> Night:
        nights.append(Night(root=root, arguments=[str(each) for each in arguments]))
        return nights[-1]

    yield begin
    for night in nights:
        night.end()
