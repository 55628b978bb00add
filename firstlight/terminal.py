"""How many colours the terminal shows, told from the environment alone."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

_TRUE_COLOUR_TERMS = ("direct", "kitty", "alacritty", "foot", "wezterm", "ghostty", "contour", "iterm")


class Colours(StrEnum):
    """The colours of a terminal, by the names that Textual has for them."""

    TRUE = "truecolor"
    MANY = "256"
    FEW = "standard"


def colours_of(environ: Mapping[str, str]) -> Colours:
    """What this terminal shows.

    COLORTERM announces true colour and gets lost on the way: ssh does not hand it on, tmux may not set it.
    Behind ssh, a terminal of 256 colours is taken for one of true colour, as nearly all are. tmux takes true
    colour itself, and translates it for a terminal that has less; GNU screen does not.
    ``TEXTUAL_COLOR_SYSTEM`` overrules all of this.
    """
    if (said := environ.get("TEXTUAL_COLOR_SYSTEM", "")) in set(Colours):
        return Colours(said)
    term = environ.get("TERM", "").lower()
    if environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"}:
        return Colours.TRUE
    if any(name in term for name in _TRUE_COLOUR_TERMS):
        return Colours.TRUE
    if "256color" not in term:
        return Colours.FEW
    if environ.get("TMUX"):
        return Colours.TRUE
    over_ssh = environ.get("SSH_CONNECTION") or environ.get("SSH_TTY")
    no_more = (
        environ.get("STY") or term.startswith("screen") or environ.get("TERM_PROGRAM") == "Apple_Terminal"
    )
    return Colours.TRUE if over_ssh and not no_more else Colours.MANY
