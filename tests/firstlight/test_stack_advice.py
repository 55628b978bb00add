"""What the subs of a stack advise, and that those which are out advise nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from firstlight.stack_advice import advice_on
from firstlight.stacker import Job
from livestack.advice import Advice
from livestack.engine import Sub
from livestack.keeper import KeptStack
from tests.livestack.kept import exposed, kept, night, pictures


def bleached(number: int) -> Sub:
    """A sub most of whose stars are saturated."""
    plain = exposed(number)
    pixels = np.minimum(np.maximum(plain.pixels.astype(np.float64) - 300, 0) * 12 + 300, 65_535)
    return replace(plain, pixels=pixels.astype(np.uint16), saturation_adu=3000.0)


def advised(stack: KeptStack) -> Advice:
    image = pictures(stack)["L"]
    inside = [entry for entry in stack.entries.values() if entry.standing.inside]
    return advice_on(image, inside, stack.entries.values())


def note(sub: Sub) -> dict[str, object]:
    return {"job": Job(frame_id=sub.frame_id, path="").to_dict(), "begin": None}


def test_saturated_subs_that_are_out_do_not_count_and_count_again_when_they_are_back(tmp_path: Path) -> None:
    subs = {**night(2), **{f"{n:02}": bleached(n) for n in (2, 3)}}
    with kept(tmp_path, subs.get) as (stack, _):
        for each in subs.values():
            stack.add(each, note(each))
        assert stack.entries["02"].measures is not None
        assert stack.entries["02"].measures.saturated > 0.3
        assert advised(stack).sub_length.saturating
        for name in ("02", "03"):
            stack.take_out(name, "saturated")
        assert not advised(stack).sub_length.saturating
        stack.put_back("02")
        assert advised(stack).sub_length.saturating
    with kept(tmp_path, subs.get) as (stack, _):  # and after a kill
        assert advised(stack).sub_length.saturating
        stack.take_out("02", "saturated")
        assert not advised(stack).sub_length.saturating


def test_where_no_share_was_measured_none_is_told(tmp_path: Path) -> None:
    subs = night(2)
    with kept(tmp_path, subs.get) as (stack, _):
        for each in subs.values():
            stack.add(each, note(each))
        image = pictures(stack)["L"]
        entries = [
            replace(
                entry, measures=None if entry.measures is None else replace(entry.measures, saturated=share)
            )
            for entry, share in zip(stack.entries.values(), (float("nan"), float("nan")), strict=True)
        ]
        assert not advice_on(image, entries, entries).sub_length.saturating
        entries[0] = stack.entries["00"]
        assert advice_on(image, entries, entries).snr.subs == pytest.approx(2)
