from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from simulators.clock import SimClock
from simulators.cooler import Cooler


def test_the_clock_runs_as_fast_as_told() -> None:
    real = itertools.count(100.0, 2.5)
    start = datetime(2026, 11, 23, 20, tzinfo=UTC)
    clock = SimClock(60.0, start, monotonic=lambda: next(real))
    assert clock.utc() == start + timedelta(seconds=150)
    assert clock.elapsed_s() == 300.0


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_clock_that_cannot_run_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        SimClock(speed)


def test_cooling_takes_minutes_overshoots_little_and_then_holds() -> None:
    cooler = Cooler()
    cooler.set(-10.0)
    curve = [cooler.advance(t) for t in range(0, 1801, 5)]
    reached = next(i * 5 for i, temperature in enumerate(curve) if temperature <= -9.7)
    assert 120 < reached < 420
    assert -11.0 < min(curve) < -10.0
    assert max(abs(t + 10.0) for t in curve[reached // 5 + 60 :]) < 0.1
    assert cooler.power == pytest.approx(22 / 40, abs=0.01)


def test_a_cooler_cannot_pass_its_limit_and_warms_up_when_off() -> None:
    cooler = Cooler()
    cooler.set(-45.0)
    assert cooler.advance(5000.0) == pytest.approx(12.0 - 40.0, abs=0.1)
    assert cooler.power == 1.0
    cooler.set(None)
    assert cooler.advance(10_000.0) == pytest.approx(12.0, abs=0.1)
