"""The rules at work on a ledger: what each sub measured, and who is judged again when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from livestack.engine import Outcome, Sub
from livestack.events import SubAccepted, SubRejected
from livestack.grading import Measures, Night, Rules, Verdict, judge, night_of
from livestack.ledger import By, Entry, Ledger, Standing
from livestack.placing import Placed
from livestack.setups import Setup

GRADE = "grade"
"""The reason of a :class:`SubRejected` that the rules gave; such a sub can be put back."""

_SHAPED_STARS = 200


class Judges:
    """Hold subs against others of their kind: of the same filter, exposure and setup."""

    def __init__(self, ledger: Ledger) -> None:
        self.rules = ledger.rules or Rules()
        self._ledger = ledger
        self._kinds: defaultdict[str, list[Measures]] = defaultdict(list)
        for entry in ledger.entries.values():
            if entry.measures is not None:
                self._kinds[entry.kind].append(entry.measures)

    def night(self, kind: str) -> Night:
        """What the subs of a kind are like, good and bad."""
        return night_of(self._kinds.get(kind, ()))

    def entry_of(self, sub: Sub, outcome: Outcome, note: Mapping[str, Any]) -> Entry:
        """A new sub with its verdict, from what was found out about it; it counts from here on."""
        event, placed = outcome.event, outcome.placed
        why = event.detail if isinstance(event, SubRejected) else ""
        entry = Entry(
            frame_id=sub.frame_id,
            filter=sub.meta.filter,
            kind=_kind(sub),
            exposure_s=sub.meta.exposure_s,
            event=event,
            standing=Standing(inside=False, by=By.STACK, why=why),
            note=note,
        )
        if placed is None or not isinstance(event, SubAccepted):
            return entry
        measures = _measures(event, outcome, placed)
        self._kinds[entry.kind].append(measures)
        verdict = judge(measures, self.night(entry.kind), self.rules)
        return replace(
            entry,
            setup=Setup.of(sub.meta, sub.shape),
            placed=placed,
            measures=measures,
            verdict=verdict,
            standing=_standing(verdict),
            event=event if verdict.good else _refused(event, verdict),
        )

    def again_if_due(self, kind: str) -> list[Entry]:
        """Judge a kind again when its night is first known, and at each doubling; those that move."""
        times, rest = divmod(len(self._kinds[kind]), max(self.rules.least_subs, 1))
        return self.again({kind}) if rest == 0 and times.bit_count() == 1 else []

    def again(self, kinds: set[str] | None = None) -> list[Entry]:
        """Judge all subs, or those of some kinds, by the night as it is known now; those that move."""
        nights = {kind: self.night(kind) for kind in self._kinds if kinds is None or kind in kinds}
        moved = []
        for entry in list(self._ledger.entries.values()):
            if entry.measures is None or entry.kind not in nights:
                continue
            verdict = judge(entry.measures, nights[entry.kind], self.rules)
            standing = _standing(verdict) if entry.standing.by is By.RULES else entry.standing
            if (verdict, standing) != (entry.verdict, entry.standing):
                after = self._ledger.move(entry.frame_id, standing, verdict)
                moved += [after] if standing.inside != entry.standing.inside else []
        return moved


def _standing(verdict: Verdict) -> Standing:
    return Standing(inside=verdict.good, by=By.RULES, why=verdict.text)


def _refused(event: SubAccepted, verdict: Verdict) -> SubRejected:
    return SubRejected(
        frame_id=event.frame_id,
        filter=event.filter,
        reason=GRADE,
        detail=verdict.text,
        seconds=event.seconds,
    )


def _kind(sub: Sub) -> str:
    meta = sub.meta
    exposure = "" if meta.exposure_s is None else f"{meta.exposure_s:g} s"
    focal = "" if meta.focal_length_mm is None else f"{meta.focal_length_mm:g} mm"
    size = "×".join(str(n) for n in reversed(sub.pixels.shape))
    told = (meta.filter, exposure, meta.camera, meta.telescope, focal, size)
    return ", ".join(part for part in told if part)


def _measures(event: SubAccepted, outcome: Outcome, placed: Placed) -> Measures:
    stars = outcome.stars
    assert stars is not None
    matched = np.arange(len(stars)) if outcome.transform is None else np.sort(outcome.transform.pairs[:, 0])
    shaped = stars.take(matched[~stars.saturated[matched]][:_SHAPED_STARS])
    return Measures(
        fwhm_px=event.fwhm_px,
        roundness=float(np.median(shaped.b / shaped.a)) if len(shaped) else float("nan"),
        stars=len(stars),
        background_adu=event.background_adu,
        transparency=1 / placed.scale,
        rms_px=event.rms_px,
        noise_adu=placed.scale * placed.noise_adu,
        overlap=float("nan") if outcome.overlap is None else outcome.overlap,
        saturated=float(stars.saturated.mean()) if len(stars) else float("nan"),
    )
