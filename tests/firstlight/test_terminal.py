"""How many colours a terminal is taken to show, by what its environment says."""

from __future__ import annotations

import pytest

from firstlight.terminal import Colours, colours_of

XTERM, TMUX, SSH = {"TERM": "xterm-256color"}, {"TMUX": "/tmp/tmux-1,2,0"}, {"SSH_CONNECTION": "a 1 b 22"}


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({}, Colours.FEW),
        ({"TERM": "linux"}, Colours.FEW),
        ({"TERM": "linux"} | SSH, Colours.FEW),
        ({"TERM": "screen"} | TMUX, Colours.FEW),
        (XTERM, Colours.MANY),
        (XTERM | {"COLORTERM": "truecolor"}, Colours.TRUE),
        (XTERM | {"COLORTERM": "24bit"}, Colours.TRUE),
        (XTERM | {"COLORTERM": "yes"}, Colours.MANY),
        (XTERM | SSH, Colours.TRUE),
        (XTERM | {"SSH_TTY": "/dev/pts/1"}, Colours.TRUE),
        ({"TERM": "tmux-256color"} | TMUX, Colours.TRUE),
        ({"TERM": "screen-256color"} | TMUX, Colours.TRUE),
        ({"TERM": "screen-256color", "STY": "1.x"}, Colours.MANY),
        ({"TERM": "screen-256color", "STY": "1.x"} | SSH, Colours.MANY),
        ({"TERM": "screen-256color"} | SSH, Colours.MANY),
        ({"TERM": "xterm-kitty"}, Colours.TRUE),
        ({"TERM": "foot"}, Colours.TRUE),
        ({"TERM": "xterm-direct"}, Colours.TRUE),
        (XTERM | SSH | {"TERM_PROGRAM": "Apple_Terminal"}, Colours.MANY),
        (XTERM | SSH | {"TEXTUAL_COLOR_SYSTEM": "256"}, Colours.MANY),
        (XTERM | {"TEXTUAL_COLOR_SYSTEM": "truecolor"}, Colours.TRUE),
        (XTERM | {"TEXTUAL_COLOR_SYSTEM": "auto"}, Colours.MANY),
    ],
)
def test_a_terminal_s_colours(environ: dict[str, str], shown: Colours) -> None:
    assert colours_of(environ) is shown
