"""A plan is a frozen value that iterates into exposures.

Every value is checked and made canonical when it is built, in Python or from a file alike; what is
wrong with it is a :class:`PlanError` that names the key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import chain, zip_longest
from typing import Any

from acquire.coordinates import parse_dec_deg, parse_ra_deg
from acquire.errors import PlanError
from acquire.events import SequenceLine
from acquire.settings import Checked, apart_from_file, number, one_of, optional, parsed, setting, text, whole
from library.frames import FrameKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment(Checked):
    """Names of devices as the server has them; ``None`` takes the only one of its kind."""

    camera: str | None = setting(optional(text()), None)
    filter_wheel: str | None = setting(optional(text()), None)
    mount: str | None = setting(optional(text()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings(Checked):
    """How every frame is shot; ``None`` leaves the camera's present setting alone."""

    gain: float | None = setting(optional(number(at_least=0)), None)
    offset: float | None = setting(optional(number(at_least=0)), None)
    binning: int = setting(whole(1, 16), 1)
    temperature_c: float | None = setting(optional(number(at_least=-100, at_most=50)), None)
    temperature_tolerance_c: float = setting(number(at_least=0.05, at_most=10), 0.5)
    cooling_timeout_s: float = setting(number(at_least=1), 1800.0)
    ramp_c_per_min: float | None = setting(optional(number(at_least=0.1, at_most=30)), None)
    """How fast the sensor may be cooled or warmed; ``None`` leaves that to the driver."""

    readout_timeout_s: float = setting(number(at_least=1), 120.0)
    """How long after its exposure an image may come; then the exposure counts as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Checked):
    """Where to point: ICRS degrees, or text such as ``"02h20m"``."""

    name: str = setting(text())
    ra_deg: float = setting(parsed(parse_ra_deg, 'degrees, or hours as "02h20m" or "02:20:00"'), key="ra")
    dec_deg: float = setting(parsed(parse_dec_deg, 'degrees, "+57d08m" or "57:08:00"'), key="dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lights(Checked):
    """So many subs of one exposure through one filter."""

    filter: str | None = setting(optional(text()), None)
    exposure_s: float = setting(number(at_least=0.000_01, at_most=36_000))
    count: int = setting(whole(1, 100_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration(Checked):
    """How many of each: darks for every exposure of the lights, flats for every filter of theirs."""

    when: str = setting(one_of("before", "after"), "before")
    bias: int = setting(whole(0, 10_000), 0)
    dark: int = setting(whole(0, 10_000), 0)
    flat: int = setting(whole(0, 10_000), 0)
    flat_dark: int = setting(whole(0, 10_000), 0)
    flat_exposure_s: float | None = setting(optional(number(at_least=0.000_01, at_most=3600)), None)

    def check(self) -> None:
        """Flats need to know how long."""
        if (self.flat or self.flat_dark) and self.flat_exposure_s is None:
            raise PlanError("flat_exposure_s: is missing; flats and flat_darks need it (seconds)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DarkSet(Checked):
    """So many frames without light at a temperature of their own; ``None`` is that of ``[camera]``."""

    kind: str = setting(one_of("bias", "dark", "flat_dark"))
    count: int = setting(whole(1, 100_000))
    exposure_s: float = setting(number(at_least=0, at_most=36_000), 0.0)
    temperature_c: float | None = setting(optional(number(at_least=-100, at_most=50)), None)

    def check(self) -> None:
        """A bias is as short as the camera can; the others need to know how long."""
        if (self.kind == "bias") != (self.exposure_s == 0):
            raise PlanError(
                "exposure_s: is for darks and flat_darks, which need it (seconds), not for a bias"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Checked):
    """How the plan is gone through."""

    order: str = setting(one_of("interleave", "by_filter"), "interleave")
    retries: int = setting(whole(0, 100), 3)
    settle_s: float = setting(number(at_least=0, at_most=600), 2.0)
    slew_timeout_s: float = setting(number(at_least=1), 600.0)
    filter_timeout_s: float = setting(number(at_least=1), 90.0)
    disk_full_wait_s: float = setting(number(at_least=0, at_most=86_400), 60.0)
    reconnects: int = setting(whole(0, 1000), 10)
    """How often in a row, without a frame in between, the devices may be lost."""

    reconnect_timeout_s: float = setting(number(at_least=1), 3600.0)
    """How long what was lost may take to come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Checked):
    """When the lights end, and how the observatory is left, also after a stop."""

    mount: str = setting(one_of("park", "stop", "leave"), "park")
    """A mount that cannot park stops tracking instead."""

    cooler: str = setting(one_of("warm", "leave"), "warm")
    warm_c_per_min: float = setting(number(at_least=0.1, at_most=30), 5.0)
    min_altitude_deg: float = setting(number(at_least=-90, at_most=89), 0.0)
    """Lights end when the target sinks below; known where the mount knows its place."""

    sun_altitude_deg: float | None = setting(optional(number(at_least=-90, at_most=90)), None)
    """Lights end when the sun rises above; ``None``: they do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureStep:
    """One frame to be made. The id is the same in every run of the same plan."""

    step_id: str
    kind: FrameKind
    filter: str | None
    exposure_s: float
    temperature_c: float | None = None
    """What the sensor is brought to; ``None`` takes it as it is."""


@dataclass(frozen=True, kw_only=True)
class Plan(Checked):
    """A night's work."""

    name: str = setting(text())
    lights: tuple[Lights, ...] = ()
    sets: tuple[DarkSet, ...] = ()
    equipment: Equipment = Equipment()
    camera: CameraSettings = CameraSettings()
    target: Target | None = None
    calibration: Calibration = Calibration()
    options: Options = Options()
    end: End = End()
    night: str | None = apart_from_file(None)
    """The night that shoots it, where a library keeps those of many; another night shoots it anew."""

    def check(self) -> None:
        """A plan must have something to shoot, and darks and flats need lights to be made for."""
        made = self.calibration
        if not self.lights and (made.dark or made.flat or made.flat_dark):
            raise PlanError(
                "lights: are missing; darks and flats are made for the lights' exposures and filters"
            )
        if not self.lights and not made.bias and not self.sets:
            raise PlanError("lights: are missing; the plan has nothing to shoot (add a [[lights]] section)")

    @cached_property
    def plan_id(self) -> str:
        """Twelve hexadecimal digits that say which frames belong together, and the night if one is given.

        They hold what makes frames comparable: name, target, devices and camera settings. Counts, order and
        patience are not in them, so a plan may be extended or retuned and go on where it was.
        """
        camera = self.camera
        settings = [camera.gain, camera.offset, camera.binning, camera.temperature_c]
        target = asdict(self.target) if self.target else None
        content = [self.name, target, asdict(self.equipment), settings]
        text = json.dumps(content, sort_keys=True, ensure_ascii=True)
        digits = hashlib.sha256(text.encode()).hexdigest()[:12]
        return digits if self.night is None else f"{digits}-{self.night}"

    @property
    def needs_wheel(self) -> bool:
        """Whether a filter is named anywhere."""
        return any(lights.filter for lights in self.lights)

    @property
    def temperatures_c(self) -> tuple[float, ...]:
        """What the sensor is brought to, in the order of the steps."""
        wanted = [*(each.temperature_c for each in self.sets), self.camera.temperature_c]
        return tuple(dict.fromkeys(temp_c for temp_c in wanted if temp_c is not None))

    def as_warm_as_it_is(self) -> Plan:
        """The same for a camera without a cooler."""
        sets = tuple(replace(each, temperature_c=None) for each in self.sets)
        return replace(self, sets=sets, camera=replace(self.camera, temperature_c=None))

    def steps(self) -> Iterator[ExposureStep]:
        """Give every frame in the order in which it is shot; sets come first, as they are written."""
        lights, calibration = self._lights(), self._calibration()
        shots = (
            chain(calibration, lights) if self.calibration.when == "before" else chain(lights, calibration)
        )
        numbers: Counter[str] = Counter()
        for kind, filter_name, exposure_s, own_temp_c in chain(
            self._sets(), ((*shot, None) for shot in shots)
        ):
            words = [kind.value, _word(filter_name), f"{exposure_s:g}s" if exposure_s else ""]
            if own_temp_c is not None:
                words.append(f"T{own_temp_c:g}C")
            stem = "-".join(filter(None, words))
            numbers[stem] += 1
            yield ExposureStep(
                step_id=f"{stem}-{numbers[stem]:03d}",
                kind=kind,
                filter=filter_name,
                exposure_s=exposure_s,
                temperature_c=self.camera.temperature_c if own_temp_c is None else own_temp_c,
            )

    def lines(self, done: Set[str] = frozenset()) -> tuple[SequenceLine, ...]:
        """Sum the steps up by kind, filter, exposure and temperature; ``done`` holds ids of durable steps."""
        wanted: Counter[tuple[FrameKind, str | None, float, float | None]] = Counter()
        had: Counter[tuple[FrameKind, str | None, float, float | None]] = Counter()
        for step in self.steps():
            line = (step.kind, step.filter, step.exposure_s, step.temperature_c)
            wanted[line] += 1
            had[line] += step.step_id in done
        return tuple(
            SequenceLine(
                kind=kind.value,
                filter=name,
                exposure_s=seconds,
                temperature_c=temp_c,
                wanted=count,
                done=had[kind, name, seconds, temp_c],
            )
            for (kind, name, seconds, temp_c), count in wanted.items()
        )

    def _lights(self) -> Iterator[_Shot]:
        lines = [[(FrameKind.LIGHT, line.filter, line.exposure_s)] * line.count for line in self.lights]
        if self.options.order == "by_filter":
            yield from chain.from_iterable(lines)
        else:
            yield from (shot for turn in zip_longest(*lines) for shot in turn if shot is not None)

    def _sets(self) -> Iterator[tuple[FrameKind, str | None, float, float | None]]:
        for each in self.sets:
            yield from [(FrameKind(each.kind), None, each.exposure_s, each.temperature_c)] * each.count

    def _calibration(self) -> Iterator[_Shot]:
        made = self.calibration
        yield from [(FrameKind.BIAS, None, 0.0)] * made.bias
        for exposure_s in dict.fromkeys(line.exposure_s for line in self.lights):
            yield from [(FrameKind.DARK, None, exposure_s)] * made.dark
        if made.flat_exposure_s is not None:
            yield from [(FrameKind.FLAT_DARK, None, made.flat_exposure_s)] * made.flat_dark
            for filter_name in dict.fromkeys(line.filter for line in self.lights):
                yield from [(FrameKind.FLAT, filter_name, made.flat_exposure_s)] * made.flat


_Shot = tuple[FrameKind, str | None, float]


def _word(filter_name: str | None) -> str:
    return re.sub(r"[^A-Za-z0-9_+]+", "_", filter_name or "")


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """Give the plan as the tables of its file; inverse of :func:`acquire.plan_file.plan_from_dict`."""
    lists = {"lights": [line.to_dict() for line in plan.lights]}
    if plan.sets:
        lists["sets"] = [each.to_dict() for each in plan.sets]
    return {key: value for key, value in plan.to_dict().items() if key != "sets"} | lists
