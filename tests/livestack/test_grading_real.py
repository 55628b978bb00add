"""Real nights whose subs are all worth having: the default rules refuse none."""

from __future__ import annotations

from pathlib import Path

import pytest

from library.reading import read_frame
from livestack.engine import Sub
from livestack.keeper import KeptStack


def opened(path: str) -> Sub:
    frame = read_frame(Path(path))
    return Sub(frame_id=path, pixels=frame.pixels, meta=frame.meta)


@pytest.mark.realdata
@pytest.mark.parametrize(("folder", "subs"), [("mono_hatp32", 20), ("osc_m27_asi224mc", 6)])
def test_a_good_night_loses_no_sub(realdata: Path, tmp_path: Path, folder: str, subs: int) -> None:
    with KeptStack(tmp_path, opened) as stack:
        for path in sorted((realdata / folder).glob("*.[fF]*")):
            stack.add(opened(str(path)))
        stack.settle()
        assert [e.standing.why for e in stack.entries.values() if not e.standing.inside] == []
        assert len(stack.entries) == subs
