from __future__ import annotations

import json
import subprocess
import sys

import pytest

STACKED = """
import json, sys
import numpy as np
from livestack.engine import LiveStack
from livestack.kernels.judging import judged_mean
from livestack.kernels.stacking import stack_tiles
from livestack.kernels.starring import measure, peaks
from livestack.kernels.surveying import survey
from livestack.warm import warm_up
from tests.livestack.sky import Sky, motion, sub

def ready():
    return [len(kernel.signatures) for kernel in (survey, peaks, measure, stack_tiles, judged_mean)]

warm_up()
before = ready()
stack, rng = LiveStack(), np.random.default_rng(1)
for i in range(3):
    stack.add(sub(Sky().expose(motion(i), rng), str(i), bayer=sys.argv[1] or None))
stack.snapshot("L")
print(json.dumps([before, ready()]))
"""


@pytest.mark.parametrize("bayer", ["", "RGGB"])
def test_once_it_is_warm_nothing_is_left_to_compile(bayer: str) -> None:
    done = subprocess.run([sys.executable, "-c", STACKED, bayer], capture_output=True, text=True, check=True)
    before, after = json.loads(done.stdout)
    assert min(before) > 0
    assert after == before
