"""No damaged input gives a traceback, a hang or a flood of memory: a few here, many under ``slow``."""

from __future__ import annotations

import pytest

from tests.fuzz.running import feed, watched
from tests.fuzz.targets import TARGETS, Target

FEW, FEW_S, MANY, MANY_S = 12, 0.7, 100_000, 7.0


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_few_damaged_inputs(target: Target) -> None:
    with watched():
        fed, faults = feed(target, 1, range(FEW), FEW_S)
    assert fed
    assert not faults, "\n".join(map(str, faults))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_many_damaged_inputs(target: Target) -> None:
    with watched():
        fed, faults = feed(target, 2, range(MANY), MANY_S)
    assert fed > FEW
    assert not faults, "\n".join(map(str, faults))
