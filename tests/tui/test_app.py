"""Stories of a user at the screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.color import Color
from textual.pilot import Pilot

import acquire.events as acq
import livestack.events as stk
from firstlight.events import Answer, Compiling, Event, FrameShown, Restacking, Stamped
from tests.tui.nights import FakeSource, Night, in_progress, whole
from tui.app import PANELS, NightApp
from tui.grades import SubsScreen
from tui.screens import ConfirmStop, Dropped, Ended, Help
from tui.widgets.grades import Grades
from tui.widgets.now import ExposureBar, Headline
from tui.widgets.picture import HalfCells, PicturePanel
from tui.widgets.plots import FwhmPlot, NoisePlot
from tui.widgets.roll import LogView, Subs

WIDE, NARROW = (120, 40), (80, 24)


def night_app(stream: list[Stamped], *, live: bool = True) -> tuple[NightApp, FakeSource]:
    source = FakeSource(stream, live=live)
    return NightApp(source, refresh_s=0, pictures="halfcell"), source


async def settle(pilot: Pilot[None]) -> None:
    """Until the stream so far is on the screen, the picture included."""
    await pilot.pause()
    for worker in list(pilot.app.workers):
        if worker.name != "follow":
            await worker.wait()
    await pilot.pause()


def text_of(app: NightApp) -> str:
    return "\n".join(
        "".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()
    )


def colours_of(app: NightApp) -> set[tuple[int, int, int]]:
    strips = app.screen._compositor.render_strips()
    styles = [segment.style for strip in strips for segment in strip if segment.style]
    found: list[Color | None] = [colour for style in styles for colour in (style.color, style.bgcolor)]
    triplets = [colour.get_truecolor() for colour in found if colour and not colour.is_default]
    return {(each.red, each.green, each.blue) for each in triplets}


async def test_a_night_in_progress_is_read_at_a_glance() -> None:
    app, _ = night_app(in_progress().stream)
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        headline = app.query_one(Headline).draw().plain
        assert "LIGHTS" in headline
        assert "27/40 subs" in headline
        assert "2 rejected" in headline
        assert "light G 120 s" in app.query_one(ExposureBar).draw().plain
        assert "77 s" in app.query_one(ExposureBar).draw().plain
        assert "too few stars" in text_of(app)
        assert "1/√N" in text_of(app)


async def test_what_happens_arrives_while_it_is_watched() -> None:
    night = in_progress()
    app, source = night_app(list(night.stream))
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        told = len(night.stream)
        night(acq.ConnectionLost(what="INDI server", reason="connection refused"), 3)
        for stamped in night.stream[told:]:
            source.queue.put_nowait(stamped)
        await settle(pilot)
        assert "RECONNECTING" in text_of(app)
        assert "lost INDI server" in text_of(app)


async def test_p_pauses_and_then_goes_on() -> None:
    night = in_progress()
    app, source = night_app(list(night.stream))
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await pilot.press("p")
        assert source.sent == ["pause"]
        told = len(night.stream)
        night(acq.PlanPaused(), 80)
        source.queue.put_nowait(night.stream[told])
        await settle(pilot)
        assert "PAUSED" in text_of(app)
        await pilot.press("p")
        assert source.sent == ["pause", "resume"]


@pytest.mark.parametrize(("answer", "sent"), [("y", ["stop"]), ("n", []), ("escape", []), ("enter", [])])
async def test_stop_is_asked_twice(answer: str, sent: list[str]) -> None:
    app, source = night_app(in_progress().stream)
    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("s")
        assert isinstance(app.screen, ConfirmStop)
        assert "13 subs" in text_of(app)
        await pilot.press(answer)
        await pilot.pause()
        assert source.sent == sent
        assert not isinstance(app.screen, ConfirmStop)


async def test_quitting_leaves_the_night_alone_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    app, source = night_app(in_progress("/night").stream)
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await pilot.press("q")
    assert source.sent == []
    assert app.return_code == 0
    assert "firstlight attach --root /night" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["q", "enter"])
async def test_the_end_is_shown_with_its_pictures(key: str) -> None:
    app, _ = night_app(whole("/night").stream, live=False)
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert isinstance(app.screen, Ended)
        assert "38 accepted, 2 rejected" in text_of(app)
        assert "/night/pictures" in text_of(app)
        await pilot.press(key)
    assert app.return_code == 0


@pytest.mark.parametrize(("outcome", "status"), [("done", 0), ("failed", 1), ("stopped", 4)])
async def test_the_status_says_how_the_night_ended(outcome: str, status: int) -> None:
    night = in_progress()
    night.ends(outcome, "the camera went away" if outcome == "failed" else None)
    app, _ = night_app(night.stream, live=False)
    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        assert ("the camera went away" in text_of(app)) is (outcome == "failed")
        await pilot.press("q")
    assert app.return_code == status


async def test_after_the_end_there_is_time_to_look() -> None:
    app, source = night_app(whole().stream, live=False)
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await pilot.press("escape", "p", "s")
        assert source.sent == []
        assert not isinstance(app.screen, Ended | ConfirmStop)
        await pilot.press("q")
    assert app.return_code == 0


async def test_a_demo_leaves_by_itself_when_nobody_holds_it() -> None:
    app = NightApp(FakeSource(whole().stream, live=False), refresh_s=0, pictures="halfcell", linger_s=0.01)
    await app.run_async(headless=True, size=NARROW)
    assert app.return_code == 0


async def test_a_demo_that_is_held_stays() -> None:
    app = NightApp(FakeSource(whole().stream, live=False), refresh_s=0, pictures="halfcell", linger_s=1e6)
    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        assert "leaves by itself" in text_of(app)
        await pilot.press("escape")
        assert not isinstance(app.screen, Ended)
        assert app.is_running


async def test_a_session_that_drops_says_how_to_get_back() -> None:
    app, _ = night_app(in_progress("/night").stream, live=False)
    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        assert isinstance(app.screen, Dropped)
        assert "firstlight attach --root /night" in text_of(app)
        await pilot.press("enter")
    assert app.return_code == 3


@pytest.mark.parametrize("size", [(40, 12), NARROW, WIDE, (200, 60)])
async def test_nothing_but_red_light_in_the_night_theme(root: Path, size: tuple[int, int]) -> None:
    app, _ = night_app(in_progress(str(root)).stream)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert any(green or blue for _, green, blue in colours_of(app))
        await pilot.press("n")
        for key in ("1", "2", "3", "4", "5", "question_mark"):
            await pilot.press(key)
            await settle(pilot)
            assert {colour for colour in colours_of(app) if colour[1] or colour[2]} == set()
        await pilot.press("escape", "n")
        await settle(pilot)
        assert any(green or blue for _, green, blue in colours_of(app))


async def test_keys_choose_the_picture(root: Path) -> None:
    app, _ = night_app(whole(str(root)).stream[:-2])
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        panel = app.query_one(PicturePanel)
        assert str(panel.border_title).startswith("colour")
        seen = []
        for _ in range(5):
            await pilot.press("right")
            await settle(pilot)
            seen.append(panel.chosen)
        assert seen == ["L", "R", "G", "B", None]
        await pilot.press("left")
        assert panel.chosen == "B"


async def test_the_picture_is_read_again_when_it_was_painted_anew(root: Path) -> None:
    night = in_progress(str(root))
    app, source = night_app(list(night.stream))
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        canvas = app.query_one(HalfCells)
        before = canvas.image
        Image.new("RGB", (320, 240), (200, 0, 0)).save(root / "G.png")
        await settle(pilot)
        assert canvas.image is before
        told = len(night.stream)
        night(stk.PictureUpdated(filter="G", path=str(root / "G.png"), width=320, height=240))
        source.queue.put_nowait(night.stream[told])
        await settle(pilot)
        assert canvas.image is not None
        assert canvas.image.getpixel((0, 0)) == (200, 0, 0)


async def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "G.png").write_bytes(b"not a picture")
    app, _ = night_app(in_progress(str(tmp_path)).stream)
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert "cannot show" in text_of(app)


async def test_panels_alone_and_together() -> None:
    app, _ = night_app(in_progress().stream)
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await pilot.press("5")
        assert app.query_one(LogView).size.width > 100
        assert not app.query_one(Subs).size.area
        await pilot.press("5")
        assert app.query_one(Subs).size.area
        await pilot.press("tab", "tab", "tab")
        assert app.query_one(Subs).size.width > 100
        await pilot.press("escape")
        assert app.query_one(LogView).size.area


@pytest.mark.parametrize("size", [(100, 30), (100, 60), (115, 34), (116, 33), (150, 33), NARROW, (40, 12)])
async def test_where_all_panels_would_be_squeezed_there_are_tabs(size: tuple[int, int]) -> None:
    app, _ = night_app(in_progress().stream)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert app.query_one("#tabs").size.area
        assert [name for name in PANELS if app.query_one(f"#{name}").size.area] == ["picture"]
        await pilot.press("4")
        await settle(pilot)
        assert "1/√N" in text_of(app)


@pytest.mark.parametrize("size", [(116, 34), WIDE, (150, 45), (220, 60)])
async def test_where_all_panels_are_shown_each_has_room_for_what_it_says(size: tuple[int, int]) -> None:
    app, _ = night_app(in_progress().stream)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert not app.query_one("#tabs").size.area
        assert all(app.query_one(f"#{name}").size.area for name in PANELS)
        assert app.query_one(LogView).size.width >= 20
        assert app.query_one(NoisePlot).draw().plain.count("\n") >= 4
        assert app.query_one(FwhmPlot).draw().plain.count("\n") >= 4


async def test_another_size_has_its_layout_at_once() -> None:
    app, _ = night_app(in_progress().stream)
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        for size, tabs in ((NARROW, True), (WIDE, False), (NARROW, True)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert bool(app.query_one("#tabs").size.area) is tabs, size


@pytest.mark.parametrize("size", [NARROW, WIDE])
@pytest.mark.parametrize("true_colour", [True, False])
async def test_a_terminal_without_its_colours_is_told_so(size: tuple[int, int], true_colour: bool) -> None:
    source = FakeSource(in_progress().stream, live=True)
    app = NightApp(source, refresh_s=0, pictures="halfcell", true_colour=true_colour)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert ("no 24-bit colour here" in text_of(app)) is not true_colour
        await pilot.press("question_mark", "end")
        await settle(pilot)
        assert "COLORTERM=truecolor" in text_of(app)


async def test_before_there_is_a_stack_the_newest_frame_is_seen_as_it_came(root: Path) -> None:
    night = Night(str(root))
    night.begins()
    app, source = night_app(list(night.stream))

    async def say(event: Event) -> None:
        told = len(night.stream)
        night(event)
        source.queue.put_nowait(night.stream[told])
        await settle(pilot)

    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        panel, canvas = app.query_one(PicturePanel), app.query_one(HalfCells)
        for name, kind in (("R", "dark"), ("G", "flat")):
            path = str(root / f"{name}.png")
            await say(FrameShown(kind=kind, filter=None, exposure_s=2.5, path=path, width=320, height=240))
            assert panel.border_title == f"{kind} 2.5 s, as it came"
            assert canvas.image is not None
        await pilot.press("right")
        await say(stk.PictureUpdated(filter="L", path=str(root / "L.png"), width=320, height=240))
        assert str(panel.border_title).startswith("L")


async def test_while_the_compiler_is_at_work_the_screen_says_how_far_it_is() -> None:
    night = Night()
    night.begins()
    app, source = night_app(list(night.stream))
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert "compiling" not in text_of(app)
        for done, shown in ((0.0, "once: 0%"), (0.42, "once: 42%"), (1.0, None)):
            told = len(night.stream)
            night(Compiling(done=done))
            source.queue.put_nowait(night.stream[told])
            await settle(pilot)
            assert text_of(app).count("compiling") == (0 if shown is None else 2)
            assert shown is None or shown in text_of(app)
            assert "the first picture comes with the first stacked sub" in text_of(app)


async def test_older_lines_can_be_scrolled_to() -> None:
    app, _ = night_app(in_progress().stream)
    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("3")
        assert "✓  26" in text_of(app)
        await pilot.press("pageup", "pageup", "pageup")
        assert "✓   1" in text_of(app)
        await pilot.press("pagedown", "pagedown", "pagedown")
        await pilot.pause()
        assert "✓  26" in text_of(app)


async def test_a_sub_is_taken_out_and_put_back() -> None:
    night = in_progress()
    app, source = night_app(list(night.stream))
    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("g", "up")
        await settle(pilot)
        assert isinstance(app.screen, SubsScreen)
        assert "✓   26 G       2.82  0.93   151    812   0.97  0.11   0.35  in" in text_of(app)
        frame = app.state.subs[-2].frame_id
        await pilot.press("x")
        await settle(pilot)
        assert [(ask.word, ask.subs) for ask in source.asked] == [("out", (frame,))]
        assert "…   26 G" in text_of(app)
        told = len(night.stream)
        night(replace(night.grades(frame, "G", 2.82, 12.0), inside=False, by="hand", reason="asked for"))
        night(Restacking(filter="G", done=0.4))
        for stamped in night.stream[told:]:
            source.queue.put_nowait(stamped)
        await settle(pilot)
        assert "✗   26 G" in text_of(app)
        assert "24 in  3 out  stacking again G 40%" in text_of(app)
        await pilot.press("x")
        assert [(ask.word, ask.subs) for ask in source.asked[1:]] == [("back", (frame,))]
        await pilot.press("g")
        assert not isinstance(app.screen, SubsScreen)


async def test_a_sub_that_could_not_be_stacked_stays_out() -> None:
    app, source = night_app(in_progress().stream)
    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("g", "x")
        await settle(pilot)
        assert source.asked == []
        assert any("could not be stacked" in each.message for each in app._notifications)


async def test_the_cursor_stays_with_its_sub_while_others_come() -> None:
    night = in_progress()
    app, source = night_app(list(night.stream))
    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("g", "up", "up")
        table = app.screen.query_one(Grades)
        before = table.chosen
        told = len(night.stream)
        for _ in range(3):
            night.sub("G")
        for stamped in night.stream[told:]:
            source.queue.put_nowait(stamped)
        await settle(pilot)
        assert table.chosen == before
        await pilot.press("end")
        assert table.chosen == app.state.subs[-1]
        night.sub("G")
        for stamped in night.stream[-6:]:
            source.queue.put_nowait(stamped)
        await pilot.press("home")
        await settle(pilot)
        assert table.chosen == app.state.subs[0]


async def test_what_the_session_refuses_is_said_and_not_waited_for() -> None:
    night = in_progress()
    app, source = night_app(list(night.stream))
    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("g", "up", "x")
        told = len(night.stream)
        night(Answer(token="somebody else's", refused=True, text="not for this screen"))
        night(Answer(token=source.asked[0].token, refused=True, text="its file is gone"))
        for stamped in night.stream[told:]:
            source.queue.put_nowait(stamped)
        await settle(pilot)
        assert [each.message for each in app._notifications] == ["its file is gone"]
        assert "✓   26 G" in text_of(app)


async def test_help_lists_the_keys() -> None:
    app, _ = night_app(in_progress().stream)
    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        assert "end the night" in text_of(app)
        await pilot.press("escape")
        assert not isinstance(app.screen, Help)


async def test_many_events_make_one_repaint(monkeypatch: pytest.MonkeyPatch) -> None:
    night = Night(per_filter=100)
    night.begins()
    night.lights()
    shown: list[int] = []
    source = FakeSource(night.stream, live=True)
    app = NightApp(source, refresh_s=3600, pictures="halfcell")
    show = app._show

    def counted() -> None:
        shown.append(app.state.lights_done)
        show()

    monkeypatch.setattr(app, "_show", counted)
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert app.state.lights_done == 400
        assert len(shown) <= 3


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "120x40"])
@pytest.mark.parametrize("keys", [(), ("2",), ("3",), ("4",), ("5",), ("n",), ("g",), ("a",)], ids="".join)
def test_looks(snap_compare: Any, root: Path, size: tuple[int, int], keys: tuple[str, ...]) -> None:
    app, _ = night_app(in_progress(str(root)).stream)

    async def story(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press(*keys)
        await settle(pilot)

    assert snap_compare(app, terminal_size=size, run_before=story)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "120x40"])
def test_looks_at_the_end(snap_compare: Any, size: tuple[int, int]) -> None:
    app, _ = night_app(whole("/night").stream, live=False)
    assert snap_compare(app, terminal_size=size, run_before=settle)
