"""What the ledger and the picture of one filter advise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import fmean, median

from firstlight.choices import used
from firstlight.stacker import Job
from livestack.advice import Advice, advise
from livestack.ledger import Entry
from livestack.noise_budget import Camera, Night
from livestack.stack import StackImage

_LONGEST_GAP = 3.0
"""In exposures: what is longer is a pause, and no pace."""

_LAST_SUBS = 20


def advice_on(image: StackImage, inside: Sequence[Entry], night: Iterable[Entry]) -> Advice:
    """Advice from the subs that are in a stack, its picture, and the pace of all the night's.

    The sky's light is known where a dark or bias was taken off. Of saturated stars the last subs tell that
    are in: one that is out is no reason to change the next.
    """
    camera = Job.from_note(inside[-1].note).camera if inside else None
    return advise(
        Night(
            subs=image.subs,
            exposure_s=image.sub_exposure_s,
            sub_noise_adu=image.sub_noise_adu,
            stack_noise_adu=image.noise_adu,
            ideal_gain=image.ideal_gain,
            raw_noise_adu=_median(each.placed.noise_adu for each in inside if each.placed is not None),
            background_adu=_median(
                each.measures.background_adu
                for each in inside
                if each.measures is not None and _pedestal_is_off(each)
            ),
            cadence_s=_cadence_s(night),
            saturated_share=_saturated(inside[-_LAST_SUBS:]),
        ),
        camera or Camera(),
    )


def _saturated(subs: Sequence[Entry]) -> float | None:
    """The share of the stars that are saturated, the mean of some subs; None where that was not measured."""
    shares = [each.measures.saturated for each in subs if each.measures is not None]
    known = [share for share in shares if math.isfinite(share)]
    return fmean(known) if known else None


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None


def _pedestal_is_off(entry: Entry) -> bool:
    return any(each.kind in {"dark", "bias"} for each in used(Job.from_note(entry.note).choices))


def _cadence_s(night: Iterable[Entry]) -> float | None:
    """From the begin of one sub to that of the next, where nothing came between."""
    begins = sorted(
        (datetime.fromisoformat(begin), each.exposure_s or 0.0)
        for each in night
        if (begin := each.note.get("begin")) is not None
    )
    gaps = [
        gap_s
        for (a, exposure_s), (b, _) in pairwise(begins)
        if exposure_s <= (gap_s := (b - a).total_seconds()) <= _LONGEST_GAP * exposure_s
    ]
    return median(gaps) if gaps else None
