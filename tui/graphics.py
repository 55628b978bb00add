"""Which way to draw a picture this terminal has. Asked once, before the screen is taken over.

Two questions go out together: kitty's, which few terminals answer, and DA1, which all do. So the wait ends
with DA1's answer and nothing comes late, to be taken for keys. A line that is slow to answer gets half
cells: they cost a hundredth of the bytes.
"""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import time
import tty

PATIENCE_S = 1.0
FAST_S = 0.08
QUESTION = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c"
DA1 = re.compile(rb"\x1b\[\?([\d;]*)c")
CHOICES = ("halfcell", "kitty", "sixel")


def protocol() -> str:
    """One of "halfcell", "kitty" and "sixel"; ``FIRSTLIGHT_PICTURES`` overrules what the terminal says."""
    forced = os.environ.get("FIRSTLIGHT_PICTURES", "")
    if forced in CHOICES:
        return forced
    if os.environ.get("TMUX") or not (sys.__stdin__ and sys.__stdout__):
        return "halfcell"  # tmux redraws cells and would paint over a picture
    if not (sys.__stdin__.isatty() and sys.__stdout__.isatty()):
        return "halfcell"
    asked = time.monotonic()
    answer = _ask(sys.__stdin__.fileno(), sys.__stdout__.fileno())
    return understand(answer, time.monotonic() - asked)


def understand(answer: bytes, took_s: float) -> str:
    """What a terminal's answer means."""
    if took_s > FAST_S or not (found := DA1.search(answer)):
        return "halfcell"
    if b"4" in found[1].split(b";"):
        return "sixel"  # before kitty: Konsole and WezTerm claim both, and lack kitty's placeholders
    return "kitty" if b"\x1b_Gi=31;OK" in answer else "halfcell"


def _ask(stdin: int, stdout: int) -> bytes:
    before = termios.tcgetattr(stdin)
    answer = b""
    try:
        tty.setcbreak(stdin, termios.TCSANOW)
        os.write(stdout, QUESTION.encode())
        end = time.monotonic() + PATIENCE_S
        while not DA1.search(answer) and (left := end - time.monotonic()) > 0:
            if select.select([stdin], [], [], left)[0]:
                answer += os.read(stdin, 1024)
    finally:
        termios.tcsetattr(stdin, termios.TCSANOW, before)
    return answer
