"""What warming up is for: nothing is left to compile when the first sub comes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

STACKED = """
import json, sys
import numpy as np
from livestack.engine import LiveStack
from livestack.kernels.judging import judged_mean
from livestack.kernels.stacking import stack_tiles
from measure.kernels.peaks import peaks
from measure.kernels.star_shapes import measure
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


NIGHT = """
import numpy as np
from numba.core import event

compiled = []

class Heard(event.Listener):
    def on_start(self, told):
        compiled.append(told.data["dispatcher"].py_func.__name__)

    def on_end(self, told):
        pass

from livestack.warm import warm_up
warm_up()
event.register("numba:compile", Heard())

from livestack.engine import LiveStack, Sub
from livestack.masters import prepare
from tests.livestack.sky import Sky, motion, sub

sky, rng, stack = Sky(), np.random.default_rng(0), LiveStack()
plane = np.ones(sky.shape, np.float32)
masters = prepare(dark=plane, flat=plane, defects=(rng.random(sky.shape) < 1e-3).astype(np.uint8))
mosaics, floats = LiveStack(), LiveStack()
for number in range(3):
    frame = sky.expose(motion(7 * number, 0, 180.0 * number), rng)
    bare, mosaic = sub(frame, str(number)), sub(frame, str(number), bayer="RGGB")
    light = Sub(frame_id=bare.frame_id, pixels=bare.pixels, meta=bare.meta, masters=masters)
    decimals = Sub(frame_id=bare.frame_id, pixels=frame.astype(np.float32), meta=bare.meta)
    for where, what in ((stack, light), (mosaics, mosaic), (floats, decimals)):
        assert type(where.add(what)).__name__ == "SubAccepted"
assert [each.snapshot("L").subs for each in (stack, mosaics, floats)] == [3, 3, 3]
print("compiled", compiled)
"""


@pytest.mark.slow
def test_the_first_sub_finds_all_loops_compiled_of_whatever_kind_it_is(tmp_path: Path) -> None:
    place = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    place.pop("NUMBA_CACHE_DIR", None)
    for _ in ("compiled anew", "kept"):
        done = subprocess.run(
            [sys.executable, "-c", NIGHT], env=place, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "compiled []"
