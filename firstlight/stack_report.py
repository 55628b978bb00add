"""What ``firstlight stack`` tells: as it goes, and in its report."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from firstlight.choices import Choices
from firstlight.stack_output import finite
from livestack.dark_scaling import Scaling
from livestack.events import SubAccepted
from livestack.ledger import Entry
from livestack.stack import StackImage

_REMEMBERED = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What is added to a sub for its sky to be the first's, in ADU: a paraboloid for each channel.

    ``coefficients`` (channels, 6) go with 1, x, y, x², xy, y² of (place − centre) / ``reach_px``.
    """

    coefficients: list[list[float]]
    centre: list[float]
    reach_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SubReport:
    """What became of one file; ``matrix`` (3×3) takes the (x, y, 1) of the sub to the reference's.

    ``by`` is who left it out: the rules, a hand, its weight, or the stack for what cannot be aligned.
    ``weight`` is 1 for the filter's first sub, at whose scale and level the pixels times ``scale`` plus
    ``level`` are.
    ``bias_shift_adu`` is how far its bias level was above the master's, where their overscans tell it.
    ``grade`` holds what was measured, ``findings`` what was against it. ``calibration`` numbers the report's.
    """

    path: str
    filter: str | None = None
    accepted: bool
    reason: str | None = None
    by: str | None = None
    matrix: list[list[float]] | None = None
    rms_px: float | None = None
    n_matches: int | None = None
    fwhm_px: float | None = None
    background_adu: float | None = None
    weight: float | None = None
    scale: float | None = None
    level: Level | None = None
    grade: dict[str, float | None] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    calibration: int | None = None
    dark_scaling: Scaling | None = None
    bias_shift_adu: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterReport:
    """One filter's stack, in ADU at the scale of its first sub."""

    filter: str | None
    path: str
    preview: str | None
    subs: int
    exposure_s: float
    fwhm_px: float | None
    noise_adu: float | None
    sub_noise_adu: float | None
    snr_gain: float | None
    ideal_gain: float
    rejected_fraction: float
    method: str
    drizzle: float | None
    advice: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackReport:
    """What ``--report`` writes; ``calibration`` is that of most subs. ``seconds`` are sums by stage."""

    reference: str
    accepted: int
    rejected: int
    calibration: Choices
    calibrations: list[Choices]
    left_out: dict[str, int]
    stacks: list[FilterReport]
    colour_preview: str | None
    subs: list[SubReport]
    seconds: dict[str, float]
    seconds_total: float
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Work begins. ``resumed`` subs are known from an interrupted run."""

    lights: int | None
    filters: tuple[str | None, ...]
    resumed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubDone:
    """A sub was tried: the how manieth it is of how many (None: of a watched folder), and the time left."""

    sub: SubReport
    number: int
    total: int | None
    stacked: int
    rejected: int
    per_minute: float | None
    left_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """Something that takes its time: what, for which filter, the share that is done."""

    what: str
    filter: str | None
    share: float
    left_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A watched folder has nothing new; ``pending`` files are being written."""

    stacked: int
    rejected: int
    pending: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A stack and its preview are on disk; in a watched folder, as it stands so far."""

    stack: FilterReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A line for the user; ``warning``: something is not as it should be."""

    message: str
    warning: bool = False


Told = Begun | SubDone | Working | Waiting | Written | Said


class Remaining:
    """How long it will take yet, by the mean of what the last ones took.

    The very first one is not believed when there are others: loops are compiled then.
    """

    def __init__(self) -> None:
        self._took: deque[float] = deque(maxlen=_REMEMBERED)
        self._count = 0

    def add(self, seconds: float) -> None:
        """One more is done."""
        if self._count == 1:
            self._took.clear()
        self._took.append(seconds)
        self._count += 1

    @property
    def each_s(self) -> float | None:
        """How long one takes now."""
        return sum(self._took) / len(self._took) if self._took else None

    def left_s(self, number: float) -> float | None:
        """How long so many more will take."""
        return None if self.each_s is None else number * self.each_s


def sub_report(
    entry: Entry, path: str, seconds: Mapping[str, float] | None, scaling: Scaling | None
) -> SubReport:
    """What is known of a sub that was looked at."""
    event, placed, measures = entry.event, entry.placed, entry.measures
    aligned = event if isinstance(event, SubAccepted) else None
    grade = {} if measures is None else {key: finite(value) for key, value in asdict(measures).items()}
    return SubReport(
        path=path,
        filter=entry.filter,
        accepted=entry.standing.inside,
        reason=None if entry.standing.inside else _reason(entry),
        by=None if entry.standing.inside else entry.standing.by.value,
        matrix=None if placed is None else placed.warp.matrix.tolist(),
        rms_px=finite(measures.rms_px) if measures else None,
        n_matches=None if aligned is None else aligned.n_matches,
        fwhm_px=finite(measures.fwhm_px) if measures else None,
        background_adu=finite(measures.background_adu) if measures else None,
        weight=None if placed is None else placed.class_weight,
        scale=None if placed is None else placed.scale,
        level=None
        if placed is None
        else Level(
            coefficients=placed.surface.coefficients.tolist(),
            centre=placed.surface.centre.tolist(),
            reach_px=placed.surface.reach_px,
        ),
        grade=grade,
        findings=[finding.text for finding in entry.verdict.findings] if entry.verdict else [],
        calibration=entry.note.get("calibration"),
        dark_scaling=scaling,
        bias_shift_adu=None if placed is None or not placed.shift_adu else placed.shift_adu,
        seconds=dict(seconds or {}),
    )


def _reason(entry: Entry) -> str:
    if isinstance(entry.event, SubAccepted) or entry.placed is not None:
        return f"{entry.standing.by.value}: {entry.standing.why}"
    return f"{entry.event.reason}: {entry.event.detail}"


def filter_report(
    image: StackImage,
    path: str,
    preview: str | None,
    method: str,
    drizzle: float | None,
    advice: list[str],
) -> FilterReport:
    """The figures of a stack."""
    return FilterReport(
        filter=image.filter,
        path=path,
        preview=preview,
        subs=image.subs,
        exposure_s=image.exposure_s,
        fwhm_px=finite(image.fwhm_px),
        noise_adu=finite(image.noise_adu),
        sub_noise_adu=finite(image.sub_noise_adu),
        snr_gain=finite(image.snr_gain),
        ideal_gain=image.ideal_gain,
        rejected_fraction=image.rejected_fraction,
        method=method,
        drizzle=drizzle,
        advice=advice,
    )
