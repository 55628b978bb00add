"""Which subs of a filter count together: those whose weights a stack can tell apart, the most of them.

A stack keeps weights in a window of sixteen classes, 1,450 to 1. What is beyond it would add less than a
thousandth of one good sub. Of all windows that one counts whose subs weigh most together, so that one more
sub never makes a stack noisier, be it the best or the poorest, and the order of arrival decides nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from livestack.events import SubRejected
from livestack.kernels.keys import CLASSES, weight_class
from livestack.ledger import By, Entry, Standing


def outweighed(weights: Mapping[str, float]) -> dict[str, str]:
    """Of subs' weights by frame id those that do not count, and the sentence that says why."""
    if not weights:
        return {}
    of_class: defaultdict[int, list[float]] = defaultdict(list)
    for weight in weights.values():
        of_class[weight_class(weight)].append(weight)
    if max(of_class) - min(of_class) < CLASSES:
        return {}
    sums = {number: math.fsum(of_class[number]) for number in of_class}
    lowest = max(of_class, key=lambda low: (math.fsum(sums.get(low + k, 0.0) for k in range(CLASSES)), low))
    inside = range(lowest, lowest + CLASSES)
    best = max(weight for number in of_class if number in inside for weight in of_class[number])
    return {
        frame_id: _told(weight / best)
        for frame_id, weight in weights.items()
        if weight_class(weight) not in inside
    }


def weights_against(
    entries: Mapping[str, Entry], name: str | None, new: Entry | None = None
) -> dict[str, str]:
    """The subs of a filter, with a new one if there is, that do not count beside the others, and why."""
    known = entries if new is None else {**entries, new.frame_id: new}
    return outweighed(
        {
            frame_id: entry.placed.weight
            for frame_id, entry in known.items()
            if entry.filter == name and entry.placed is not None and _may_count(entry)
        }
    )


def changes(
    entries: Mapping[str, Entry], name: str | None, against: Mapping[str, str]
) -> dict[str, Standing]:
    """The subs of a filter whose standing is to change, given what weighs ``against`` some: by frame id."""
    changed = {}
    for frame_id, entry in entries.items():
        why = against.get(frame_id)
        if entry.filter == name and _may_count(entry) and entry.standing.inside != (why is None):
            by, inside = (By.RULES, True) if why is None else (By.WEIGHT, False)
            changed[frame_id] = Standing(inside=inside, by=by, why=why or "")
    return changed


def left_out(new: Entry, why: str) -> Entry:
    """A new sub that does not count beside the others."""
    event = SubRejected(
        frame_id=new.frame_id,
        filter=new.filter,
        reason=By.WEIGHT.value,
        detail=why,
        seconds=new.event.seconds,
    )
    return replace(new, event=event, standing=Standing(inside=False, by=By.WEIGHT, why=why))


def _may_count(entry: Entry) -> bool:
    """Nothing but its weight may be against a sub."""
    standing, verdict = entry.standing, entry.verdict
    return standing.inside or (standing.by is By.WEIGHT and (verdict is None or verdict.good))


def _told(ratio: float) -> str:
    if ratio < 1:
        return f"weighs 1/{1 / ratio:,.0f} of the best sub: it would add nothing"
    return f"weighs {ratio:,.0f} times the best of the others, which together weigh more: it cannot be added"
