"""``firstlight stack`` as its user meets it: arguments in, lines and an exit status out."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from firstlight.stack_report import Remaining, Said, SubDone, SubReport, Working
from library.reading import read_frame
from tests.firstlight.lights import light
from tui.cli import main
from tui.stack_lines import Lines


@pytest.fixture
def night(tmp_path: Path) -> Path:
    for number in range(4):
        light(tmp_path / "night" / f"l{number}.fits", number)
    (tmp_path / "night" / "broken.fits").write_text("clouds")
    return tmp_path / "night"


def test_a_folder_becomes_a_stack_and_the_lines_say_how(
    tmp_path: Path, night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stack", str(night), "-o", str(tmp_path / "o.fits")]) == 0
    out, err = capsys.readouterr()
    assert f"4 subs are in {tmp_path / 'o.fits'}" in out
    assert "4 of 5 lights were stacked" in out
    assert "√4 is 2.0" in out
    assert "left out: broken.fits: unreadable" in err
    assert "\x1b" not in err


def test_json_is_one_object_a_line(tmp_path: Path, night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", str(night / "*.fits"), "-o", str(tmp_path / "o.fits"), "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = [event["event"] for event in events]
    assert names[0] == "begun"
    assert names.count("sub_done") == 5
    assert names[-2:] == ["written", "done"]
    assert events[-1]["accepted"] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name lights, or a folder to --watch"),
        (["{night}", "--watch", "{night}"], "name lights, or a folder to --watch"),
        (["{night}/nothing*.fits"], "no frame matches"),
        (["{night}", "--method", "magic"], "--method: there is no method 'magic'; choose of mean, "),
        (["{night}", "--pixfrac", "0", "--drizzle", "2"], "--pixfrac is more than 0"),
        (["--watch", "{night}/nowhere"], "nowhere: cannot be watched"),
        (["{night}", "--reference", "{night}/gone.fits"], "the reference is not there"),
        (["{night}", "--library", "{night}"], "there is no library"),
    ],
)
def test_mistakes_are_a_line(
    tmp_path: Path, night: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    filled = [each.format(night=night) for each in arguments]
    assert main(["stack", *filled, "-o", str(tmp_path / "o.fits")]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.glob(".*"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_changes_and_what_is_left_out_stays() -> None:
    out = Terminal()
    lines = Lines(out)
    good = SubReport(path="/n/a.fits", accepted=True, fwhm_px=2.5)
    bad = SubReport(path="/n/b.fits", accepted=False, reason="too few stars: 2 stars found")
    for number, sub in enumerate((good, bad), 1):
        lines.tell(
            SubDone(
                sub=sub, number=number, total=4, stacked=1, rejected=number - 1, per_minute=30.0, left_s=4.0
            )
        )
    lines.tell(Working(what="stacking by sigma", filter="Ha", share=0.5, left_s=60.0))
    lines.tell(Said(message="the dark does not fit", warning=True))
    lines.wipe()
    shown = out.getvalue().split("\r\x1b[K")
    assert "1/4  30/min  4 s left  1 stacked, 0 left out  FWHM 2.5 px" in shown[1]
    assert "firstlight: 2/4 left out: b.fits: too few stars: 2 stars found\n" in shown[2]
    assert "stacking by sigma (Ha)  60 s left" in shown[4]
    assert shown[-1] == "firstlight: warning: the dark does not fit\n"


def test_without_a_terminal_there_is_a_line_now_and_then() -> None:
    out, now_s = io.StringIO(), [0.0]
    lines = Lines(out, lambda: now_s[0])
    sub = SubReport(path="/n/a.fits", accepted=True)
    for number in range(1, 101):
        now_s[0] += 0.5
        lines.tell(
            SubDone(
                sub=sub, number=number, total=100, stacked=number, rejected=0, per_minute=120.0, left_s=1.0
            )
        )
    shown = out.getvalue().splitlines()
    assert 5 <= len(shown) <= 7
    assert "100/100" in shown[-1]


def test_the_time_left_follows_what_subs_take_now() -> None:
    remaining = Remaining()
    assert remaining.left_s(10) is None
    remaining.add(12.0)  # loops are compiled
    assert remaining.left_s(10) == 120
    for _ in range(30):
        remaining.add(1.0)
    assert remaining.left_s(10) == pytest.approx(10)
    for _ in range(60):
        remaining.add(3.0)
    assert remaining.left_s(10) == pytest.approx(30)


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tui.cli", "stack", *arguments, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended_after(process: subprocess.Popen[str], n_subs: int, number: int) -> tuple[int, str]:
    """Send a signal after so many subs; the exit status, and what was said."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        n_subs -= '"sub_done"' in line
        if n_subs == 0:
            os.kill(process.pid, number)
            break
    rest, errors = process.communicate(timeout=60)
    return process.returncode, said + rest + errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 130)]
)
def test_ended_by_a_signal_the_same_command_goes_on(
    tmp_path: Path, night: Path, number: int, status: int
) -> None:
    for more in range(4, 14):
        light(night / f"m{more:02d}.fits", more)
    whole, out = tmp_path / "whole.fits", tmp_path / "o.fits"
    assert main(["stack", str(night), "-o", str(whole)]) == 0
    ended, said = ended_after(started(str(night), "-o", str(out)), 5, number)
    assert ended == status, said
    assert (tmp_path / ".o.firstlight").is_dir()
    assert not out.exists()
    assert main(["stack", str(night), "-o", str(out)]) == 0
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / ".o.firstlight").exists()


@pytest.mark.slow
def test_ctrl_c_ends_a_watch_in_order(tmp_path: Path, night: Path) -> None:
    out = tmp_path / "o.fits"
    ended, said = ended_after(started("--watch", str(night), "-o", str(out)), 4, signal.SIGINT)
    assert ended == 0, said
    assert read_frame(out).header["STACKCNT"] == 4


def test_bayer_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        light(tmp_path / "night" / f"l{number}.fits", number, bayer="CYGM")
    command = ["stack", str(tmp_path / "night"), "-o", str(tmp_path / "o.fits")]
    assert main(command) == 2
    assert "'CYGM' is none that is demosaiced" in capsys.readouterr().err
    assert main([*command, "--bayer", "RGXB"]) == 2
    assert "--bayer takes 4 letters" in capsys.readouterr().err
    assert main([*command, "--bayer", "GBRG"]) == 0
    assert read_frame(tmp_path / "o.fits").pixels.shape == (240, 320, 3)
