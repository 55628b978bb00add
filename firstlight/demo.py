"""The demo's plan: an LRGB night on Praesepe, written as a file that a user can copy."""

from __future__ import annotations

from firstlight.errors import FirstlightError

SHARES = {"L": 2, "R": 1, "G": 1, "B": 1}
"""Luminance gets twice the time of a colour, as is usual."""


def split(subs: int) -> dict[str, int]:
    """Share ``subs`` lights among the filters, each at least one while there are enough.

    Raises
    ------
    FirstlightError
        for fewer than one.
    """
    if subs < 1:
        raise FirstlightError(f"--subs {subs}: a night needs at least one light")
    total = sum(SHARES.values())
    counts = {name: subs * share // total for name, share in SHARES.items()}
    for name in sorted(counts, key=lambda name: counts[name])[: subs - sum(counts.values())]:
        counts[name] += 1
    return {name: count for name, count in counts.items() if count}


def plan_toml(subs: int) -> str:
    """The plan, as TOML, for so many lights."""
    lights = "".join(
        f'\n[[lights]]\nfilter = "{name}"\nexposure_s = 60\ncount = {count}\n'
        for name, count in split(subs).items()
    )
    return f"""\
# What `firstlight demo` shoots. Copy it, name your own devices and target, and run it with
#   firstlight run PLAN.toml --indi HOST:PORT
name = "Demo: Praesepe in LRGB"

[camera]
gain = 100
offset = 30
binning = 1
temperature_c = -10

[target]
name = "M 44"
ra = "08h40m20s"
dec = "+19d40m00s"
{lights}
[calibration]
when = "before"
bias = 10
dark = 10
flat = 12
flat_exposure_s = 2.5

[options]
order = "interleave"
settle_s = 0.2

[end]
warm_c_per_min = 30         # simulated sensors do not mind; leave both lines out at a telescope
min_altitude_deg = -90      # the simulated sky has no horizon
"""
