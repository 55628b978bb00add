"""What calibration tonight's plan wants: what is there, what is missing, how many and how long."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from acquire.plan import Plan
from firstlight.errors import FirstlightError
from firstlight.sensor_figures import Figure, Figures, measure_figures, measure_flat_level, measure_sky
from library.comparison import Comparison, compare
from library.cutting import Extent
from library.fitness import temperature_c
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.planner import EPSILON, FlatLight, Need, Subs, needs
from library.shelves import Shelf
from library.store import Library
from library.tolerances import Tolerances

FULL_ADU = 65_535
MOST_UNDITHERED = 100
"""Frames of a master beyond which subs should be dithered rather than more be shot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One master: how many frames it should hold, has, and lacks."""

    kind: FrameKind
    exposure_s: float
    filter: str | None
    temperature_c: float | None
    needed: int
    dithered: int
    undithered: int
    there: int
    missing: int
    seconds: float
    undithered_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationPlan:
    """The answer, and what it rests on."""

    plan_name: str
    camera: str
    epsilon: float
    positions: int | None
    """Dither positions; ``None``: each sub has its own."""

    figures: Figures
    skies: tuple[tuple[str | None, Figure], ...]
    flat_adu: Figure | None
    items: tuple[Item, ...]
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """For all that is missing."""
        return sum(item.seconds for item in self.items)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "plan": self.plan_name,
            "camera": self.camera,
            "epsilon": self.epsilon,
            "dither_positions": self.positions,
            "figures": asdict(self.figures),
            "sky_adu_s": [{"filter": name} | asdict(sky) for name, sky in self.skies],
            "flat_adu": None if self.flat_adu is None else asdict(self.flat_adu),
            "items": [asdict(item) | {"kind": item.kind.value} for item in self.items],
            "missing_frames": sum(item.missing for item in self.items),
            "missing_seconds": self.seconds,
            "notes": list(self.notes),
        }


def plan_calibration(
    plan: Plan,
    library: Library,
    *,
    now: datetime,
    epsilon: float = EPSILON,
    positions: int | None = None,
    sky_adu_s: float | None = None,
    tolerances: Tolerances | None = None,
    besides: str | None = None,
    most: int | None = None,
) -> CalibrationPlan:
    """Work out what the plan's lights want of this library.

    ``sky_adu_s`` takes the place of what lights in the library show; frames of the plan id ``besides`` are
    measured and not counted as there. No more than ``most`` frames of a kind are asked for, unless subs that
    are dithered want more; what that costs is noted. Raises :class:`FirstlightError` where it cannot tell
    which camera.
    """
    if not plan.lights:
        raise FirstlightError(f'the plan "{plan.name}" has no lights; there is nothing to calibrate')
    notes: list[str] = []
    frames, covering, example = _frames_of(plan, library, notes)
    temp_c = plan.camera.temperature_c
    if temp_c is None and example is not None:
        temp_c = temperature_c(example)
        if temp_c is not None:
            notes.append(f"the plan names no temperature: {temp_c:.0f} °C, as the newest frame")
    figures = measure_figures(frames, temp_c)
    lights = [each for each in frames if each.meta.kind is FrameKind.LIGHT]
    given = None if sky_adu_s is None else Figure(sky_adu_s, "--sky")
    names = dict.fromkeys(line.filter for line in plan.lights)
    skies = {name: given or measure_sky(lights, name, figures)[0] for name in names}
    flats = [each for each in frames if each.meta.kind is FrameKind.FLAT]
    flat_s = plan.calibration.flat_exposure_s
    flat_adu = None if flat_s is None else measure_flat_level(flats, figures)
    flat = (
        None if flat_s is None or flat_adu is None else FlatLight(exposure_s=flat_s, level_adu=flat_adu.value)
    )
    if flat is None:
        notes.append("the plan has no flat_exposure_s: flats, flat-darks and biases are not planned")
    subs = [
        Subs(
            filter=line.filter,
            exposure_s=line.exposure_s,
            count=line.count,
            sky_adu_s=skies[line.filter].value,
        )
        for line in plan.lights
    ]
    notes += [
        f"{line.exposure_s:g} s of this sky fill the camera's range: shorten them, or give the sky with --sky"
        for line in subs
        if line.background_adu > FULL_ADU
    ]
    counted = [each for each in (*frames, *covering) if besides is None or each.meta.plan_id != besides]
    shelves = {kind: Shelf(kind, (r for r in counted if r.meta.kind is kind)) for kind in FrameKind}

    def there(need: Need) -> int:
        if example is None:
            return 0
        wanted = replace(
            example,
            kind=FrameKind.LIGHT,
            exposure_s=need.exposure_s,
            filter=need.filter,
            sensor_temp_c=temp_c,
            set_temp_c=temp_c,
            date_obs=now,
        )
        kinds = (need.kind, FrameKind.DARK) if need.kind is FrameKind.FLAT_DARK else (need.kind,)
        compared = [compare(shelves[kind], wanted, tolerances or Tolerances()) for kind in kinds]
        found = max(map(_count, compared))
        near = [each.near_miss(row) for each in compared for _, row in each.near_misses(1)]
        if not found and near:
            name = " ".join(filter(None, (need.kind.value.replace("_", "-"), need.filter)))
            notes.append(
                f"no {name} fits; the nearest, {near[0].record.path.name}: {'; '.join(near[0].ruled_out_by)}"
            )
        return found

    def item(need: Need) -> Item:
        exact, had = need.frames(positions), there(need)
        needed = exact if most is None else min(exact, max(most, need.dithered))
        if needed < exact:
            notes.append(_capped(need, exact, needed, epsilon))
        missing = max(0, needed - had)
        overhead_s = figures.overhead_s.value
        return Item(
            kind=need.kind,
            exposure_s=need.exposure_s,
            filter=need.filter,
            temperature_c=None if need.kind is FrameKind.FLAT else temp_c,
            needed=needed,
            dithered=need.dithered,
            undithered=need.undithered,
            there=had,
            missing=missing,
            seconds=need.takes_s(missing, overhead_s),
            undithered_seconds=need.takes_s(max(0, need.undithered - had), overhead_s),
        )

    wanted = needs(subs, figures.sensor, flat, epsilon=epsilon)
    return CalibrationPlan(
        plan_name=plan.name,
        camera=example.camera if example else plan.equipment.camera or "",
        epsilon=epsilon,
        positions=positions,
        figures=figures,
        skies=tuple(skies.items()),
        flat_adu=flat_adu,
        items=tuple(item(need) for need in wanted),
        notes=tuple(notes),
    )


def _capped(need: Need, exact: int, needed: int, epsilon: float) -> str:
    """What it costs to ask for fewer frames than subs that stand still want."""
    name = " ".join(filter(None, (need.kind.value.replace("_", "-"), need.filter)))
    return (
        f"{name}: the plan does not dither, and {exact} would be wanted; {needed} add "
        f"{epsilon * exact / needed:.0%} to the variance. Subs that another program dithers want "
        f"{need.dithered}: say --dither every"
    )


def _frames_of(
    plan: Plan, library: Library, notes: list[str]
) -> tuple[list[FrameRecord], list[FrameRecord], FrameMeta | None]:
    """The library's frames as the plan will shoot them, oldest first, larger ones, and what the newest is.

    The larger ones are those that the frames to be shot can be cut from.
    """
    records = library.find(camera=plan.equipment.camera)
    cameras = sorted({record.meta.camera for record in records if record.meta.camera})
    if len(cameras) > 1:
        raise FirstlightError(
            f"the library has frames of {', '.join(cameras)}; name one as camera in the plan's [equipment]"
        )
    bins = (plan.camera.binning, plan.camera.binning)
    wanted = {"gain": plan.camera.gain, "offset": plan.camera.offset}
    records = [
        each
        for each in records
        if each.meta.binning == bins
        and all(value is None or getattr(each.meta, name) == value for name, value in wanted.items())
    ]
    if not records:
        notes.append("the library has no frames of this camera and these settings")
        return [], [], None
    newest = records[-1].meta
    for name, value in wanted.items():
        own = getattr(newest, name)
        if value is None and own is not None:
            notes.append(f"the plan names no {name}: {own:g}, as the newest frame")
    alike = ("gain", "offset", "read_mode")
    frames, covering, here = list[FrameRecord](), list[FrameRecord](), Extent.of(newest)
    for each in records:
        if all(getattr(each.meta, k) == getattr(newest, k) for k in alike):
            if (each.meta.width, each.meta.height) == (here.width, here.height):
                frames.append(each)
            elif here.within(Extent.of(each.meta)) is not None:
                covering.append(each)
    return frames, covering, newest


def _count(compared: Comparison) -> int:
    """Frames that fit: single ones, or those within a master."""
    held: list[int] = [compared.shelf.records[row].meta.n_combined for row in compared.fitting()]
    return max(held.count(1), max(held, default=0))
