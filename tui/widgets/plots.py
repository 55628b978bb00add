"""Two curves that say whether the night is going well: noise against √N, and FWHM."""

from __future__ import annotations

from math import ceil, log2

from rich.text import Text

from tui.braille import Axis, Canvas, framed
from tui.palette import DIM, filter_colour
from tui.widgets.panel import Panel

LEAST_COLUMNS, LEAST_ROWS = 16, 3


class NoisePlot(Panel):
    """Noise of each stack over that of one sub, against the subs in it, both axes logarithmic.

    The dotted line is 1/√N, what averaging N equally good subs can reach.
    """

    def draw(self) -> Text:
        """The plot; every filter in its colour."""
        stacks = [each for each in self.state.stacks if each.sub_noise_adu and each.noise.last]
        columns, rows = self.size.width - 6, self.size.height - 2
        if not stacks or columns < LEAST_COLUMNS or rows < LEAST_ROWS:
            return Text("no stack yet" if not stacks else "", DIM)
        doublings = max(3, ceil(log2(max(each.subs for each in stacks))))
        halvings = doublings / 2

        def at(subs: float, noise: float) -> tuple[float, float]:
            return log2(subs) / doublings, 1 + log2(noise) / halvings

        canvas = Canvas(columns, rows)
        canvas.line([(0.0, 1.0), (1.0, 0.0)], DIM, every=3)
        for each in stacks:
            unit = each.sub_noise_adu or 1.0
            curve = [at(subs, noise / unit) for subs, noise in each.noise.curve() if subs >= 1 and noise > 0]
            canvas.line(curve, filter_colour(each.filter))
            for point in curve:
                canvas.dot(*point, filter_colour(each.filter))
        x = Axis(tuple((n / doublings, f"{2**n}") for n in range(doublings + 1)))
        y = Axis(tuple((1 - n / halvings, f"{2.0**-n:.3g}") for n in range(int(halvings) + 1)))
        return framed(canvas, x, y)


class FwhmPlot(Panel):
    """FWHM of each accepted sub, in pixels, against its number."""

    def draw(self) -> Text:
        """The plot; every filter in its colour."""
        curves = [(each.filter, each.fwhm.curve()) for each in self.state.stacks if each.fwhm.last]
        columns, rows = self.size.width - 6, self.size.height - 2
        if not curves or columns < LEAST_COLUMNS or rows < LEAST_ROWS:
            return Text("no sub yet" if not curves else "", DIM)
        values = [y for _, curve in curves for _, y in curve]
        low, high = min(values), max(values)
        spread = max(high - low, 0.2)
        low, high = low - 0.1 * spread, high + 0.1 * spread
        last = max(2.0, *(x for _, curve in curves for x, _ in curve))
        canvas = Canvas(columns, rows)
        for name, curve in curves:
            for x, y in curve:
                across, up = (x - 1) / (last - 1), (y - low) / (high - low)
                for dx in (0.0, 0.5 / columns):  # two dots wide, to be seen
                    canvas.dot(min(across + dx, 1.0), up, filter_colour(name))
        ticks = tuple((part, f"{low + part * (high - low):.2f}") for part in (0.0, 0.5, 1.0))
        numbers = sorted({1, round((last + 1) / 2), round(last)})
        return framed(canvas, Axis(tuple(((n - 1) / (last - 1), str(n)) for n in numbers)), Axis(ticks))
