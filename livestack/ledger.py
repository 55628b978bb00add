"""What is known of each sub of a stack, on disk: an append-only file of JSON lines, and one of patches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from livestack.events import SubAccepted, SubRejected
from livestack.grading import Measures, Verdict
from livestack.placing import Placed


class By(StrEnum):
    """Whose word it is that a sub is in its stack, or isn't: the user's outranks the rules'."""

    RULES = "rules"
    HAND = "hand"
    STACK = "stack"
    """It cannot be aligned, or its file is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a sub belongs into its stack, by whose word, and why; ``why`` is empty for a good sub."""

    inside: bool
    by: By
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """One sub. Without ``placed`` it could not be aligned, and can never be put back.

    ``kind`` names the subs that it is compared with: its filter, exposure and camera. ``event`` is what was
    said of it when it came, ``standing`` what holds now. ``note`` is whatever JSON the caller gave with it.
    """

    frame_id: str
    filter: str | None
    kind: str
    exposure_s: float | None
    event: SubAccepted | SubRejected
    standing: Standing
    measures: Measures | None = None
    verdict: Verdict | None = None
    placed: Placed | None = None
    note: Mapping[str, Any] = field(default_factory=dict)
