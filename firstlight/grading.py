"""Between the stack's ledger and the screen: a sub's grades as an event, and rules as people type them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from firstlight.errors import FirstlightError
from firstlight.events import SubGraded
from firstlight.stack_output import finite
from livestack.grading import Limit, Rules
from livestack.ledger import Entry

_COUNT = "least_subs"
_PARTS = ("sigmas", "share", "absolute")
MEASURES = {
    field.name.removesuffix("_px").removesuffix("_adu"): field.name
    for field in fields(Rules)
    if field.name != _COUNT
}


def graded(entry: Entry) -> SubGraded:
    """What is thought of a sub now."""
    event = SubGraded(
        frame_id=entry.frame_id,
        filter=entry.filter,
        inside=entry.standing.inside,
        by=entry.standing.by.value,
        reason=entry.standing.why,
    )
    measures = entry.measures
    if measures is None:
        return event
    return replace(
        event,
        fwhm_px=finite(measures.fwhm_px),
        roundness=finite(measures.roundness),
        stars=measures.stars,
        background_adu=finite(measures.background_adu),
        noise_adu=finite(measures.noise_adu),
        transparency=finite(measures.transparency),
        rms_px=finite(measures.rms_px),
        weight=None if entry.placed is None else entry.placed.class_weight,
    )


def changed(rules: Rules, wishes: Mapping[str, float | None]) -> Rules:
    """The rules with other limits: ``fwhm`` is the most that is let pass, ``fwhm.sigmas`` and ``fwhm.share``
    how far off the night. None: no such limit. Raises :class:`FirstlightError` for a name that is none.
    """
    for name, value in wishes.items():
        measure, _, part = name.partition(".")
        if name == _COUNT and value is not None and value >= 1:
            rules = replace(rules, least_subs=int(value))
            continue
        field = MEASURES.get(measure, measure)
        part = part or "absolute"
        if field not in MEASURES.values() or part not in _PARTS:
            names = ", ".join((*MEASURES, _COUNT))
            raise FirstlightError(
                f"no rule is named {name}; there are {names}, with .sigmas or .share behind"
            )
        limit = 0.0 if part == "share" and value is None else value
        rules = replace(rules, **{field: replace(getattr(rules, field), **{part: limit})})
    return rules


def in_words(rules: Rules) -> str:
    """All limits in a line, as they are typed."""
    told = [f"{_COUNT}={rules.least_subs}"]
    for name, field in MEASURES.items():
        limit: Limit = getattr(rules, field)
        if limit.absolute is not None:
            told.append(f"{name}={limit.absolute:g}")
        if limit.sigmas is not None:
            told.append(f"{name}.sigmas={limit.sigmas:g} {name}.share={limit.share:g}")
    return " ".join(told)
