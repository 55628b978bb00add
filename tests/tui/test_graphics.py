"""Which way to draw a picture: what terminals answer, and what then goes to them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.tui.nights import FakeSource, in_progress
from tests.tui.test_app import settle, text_of
from tui.app import NightApp
from tui.graphics import protocol, understand
from tui.palette import KITTY_PLACEHOLDER


@pytest.mark.parametrize(
    ("answer", "took_s", "meant"),
    [
        (b"\x1b_Gi=31;OK\x1b\\\x1b[?62c", 0.01, "kitty"),
        (b"\x1b[?62;4;22c", 0.01, "sixel"),
        (b"\x1b_Gi=31;OK\x1b\\\x1b[?65;4;6;18c", 0.01, "sixel"),  # WezTerm
        (b"\x1b[?62;14;24c", 0.01, "halfcell"),  # 14 and 24 are not 4
        (b"\x1b[?1;2c", 0.01, "halfcell"),
        (b"\x1b_Gi=31;ENOTSUPPORTED\x1b\\\x1b[?62;4c", 0.01, "sixel"),
        (b"\x1b_Gi=31;OK\x1b\\\x1b[?62c", 0.4, "halfcell"),  # a slow line
        (b"", 1.0, "halfcell"),
    ],
)
def test_answers_are_understood(answer: bytes, took_s: float, meant: str) -> None:
    assert understand(answer, took_s) == meant


def test_the_user_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTLIGHT_PICTURES", "sixel")
    assert protocol() == "sixel"
    monkeypatch.setenv("FIRSTLIGHT_PICTURES", "nonsense")
    monkeypatch.setenv("TMUX", "/tmp/tmux,1,0")
    assert protocol() == "halfcell"


@pytest.mark.parametrize("theme", ["dark", "red"])
async def test_kitty_is_sent_the_picture_and_its_place(
    root: Path, monkeypatch: pytest.MonkeyPatch, theme: str
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "__stdout__", terminal)
    app = NightApp(FakeSource(in_progress(str(root)).stream, live=True), refresh_s=0, pictures="kitty")
    async with app.run_test(size=(120, 40)) as pilot:
        if theme == "red":
            await pilot.press("n")
        await settle(pilot)
        assert KITTY_PLACEHOLDER in text_of(app)
        assert "\x1b_Gi=" in terminal.getvalue()
        number = int(terminal.getvalue().rsplit("a=p,i=", 1)[1].split(",")[0])
        placed = [
            segment.style.color
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if KITTY_PLACEHOLDER in segment.text and segment.style
        ]
        triplets = [tuple(colour.get_truecolor()) for colour in placed if colour]
        assert triplets
        assert set(triplets) == {((number >> 16) & 255, (number >> 8) & 255, number & 255)}


async def test_sixels_are_drawn(root: Path) -> None:
    app = NightApp(FakeSource(in_progress(str(root)).stream, live=True), refresh_s=0, pictures="sixel")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert "\x1bP" in text_of(app)
