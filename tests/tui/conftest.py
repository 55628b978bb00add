"""Screens are the same everywhere: one time zone, nothing of the developer's or the CI's terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.nights import paint


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        for name in ("NO_COLOR", "FIRSTLIGHT_PICTURES", "TMUX"):  # CI machines like to set the first
            patch.delenv(name, raising=False)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A night's folder with its previews painted."""
    paint(tmp_path)
    return tmp_path
