"""What a plan asks for, held against what the devices say of themselves, before anything is shot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from acquire.altitude import Site, altitude_deg, next_time, sun_altitude_deg
from acquire.devices import CameraLimits, Mount, Observatory, Range
from acquire.errors import PlanError
from acquire.plan import Plan
from library.frames import FrameKind

_ANYTHING = Range()


def check_plan(plan: Plan, devices: Observatory, now: datetime | None = None) -> None:
    """Raise :class:`PlanError` with everything that the plan asks for and the observatory has not.

    ``now`` also checks that the target is up when the lights begin, where the mount knows its place.
    """
    wrong = [*_of_wheel(plan, devices), *_of_mount(plan, devices, now), *_of_camera(plan, devices)]
    if wrong:
        raise PlanError("; ".join(wrong))


def forecast(plan: Plan, devices: Observatory, now: datetime) -> list[str]:
    """Tell when the target sinks too low and when it dawns, where the mount knows its place."""
    site = devices.mount.site if devices.mount else None
    if plan.target is None or site is None:
        return []
    target, lowest = plan.target, plan.end.min_altitude_deg
    if lowest <= -90:
        return []
    sets = next_time(lambda when: altitude_deg(target.ra_deg, target.dec_deg, site, when) < lowest, now)
    said = [f"{target.name} stays above {lowest:g}° for the next 24 hours"]
    if sets is not None:
        said = [f"{target.name} sinks below {lowest:g}° at {sets:%H:%M} UTC"]
    light = plan.end.sun_altitude_deg
    limit = -18.0 if light is None else light
    if sun_altitude_deg(site, now) < limit:
        dawns = next_time(lambda when: sun_altitude_deg(site, when) >= limit, now)
        if dawns is not None:
            said.append(f"the sun rises above {limit:g}° at {dawns:%H:%M} UTC")
    return said


def why_no_light(plan: Plan, mount: Mount | None, now: datetime, exposure_s: float) -> str | None:
    """Say why no light may be begun now, by the plan's own limits; ``None``: nothing is against it.

    The limits hold until the exposure is over.
    """
    site, limit = mount.site if mount else None, plan.end.sun_altitude_deg
    if plan.target is None or site is None:
        return None
    for when in (now, now + timedelta(seconds=exposure_s)):
        if too_low := _too_low(plan, site, when):
            return f"{too_low}, at {when:%H:%M} UTC"
        if limit is not None and (sun := sun_altitude_deg(site, when)) > limit:
            return f"the sun stands at {sun:.1f}°, above {limit:g}°, at {when:%H:%M} UTC"
    return None


def _of_wheel(plan: Plan, devices: Observatory) -> Iterator[str]:
    if plan.needs_wheel and devices.wheel is None:
        yield "the plan names filters and there is no filter wheel"
    if devices.wheel is not None:
        there = devices.wheel.filters
        for name in dict.fromkeys(line.filter for line in plan.lights if line.filter):
            if name not in there:
                yield f'there is no filter "{name}" in {devices.wheel.name}; it has {", ".join(there)}'


def _of_mount(plan: Plan, devices: Observatory, now: datetime | None) -> Iterator[str]:
    if plan.target is None:
        return
    if devices.mount is None:
        yield "the plan has a target and there is no mount"
        return
    site = devices.mount.site
    if now is None or site is None or not plan.lights:
        return
    begins = now + timedelta(seconds=_seconds_before_lights(plan))
    if reason := _too_low(plan, site, begins):
        target, lowest = plan.target, plan.end.min_altitude_deg
        rises = next_time(
            lambda when: altitude_deg(target.ra_deg, target.dec_deg, site, when) >= lowest, begins
        )
        later = f"it is higher at {rises:%H:%M} UTC" if rises else "it never comes higher there"
        yield (
            f"{reason} at {begins:%H:%M} UTC, when the lights would begin ({later}); "
            "min_altitude_deg in [end] is the limit"
        )


def _too_low(plan: Plan, site: Site, when: datetime) -> str | None:
    assert plan.target is not None
    target, lowest = plan.target, plan.end.min_altitude_deg
    altitude = altitude_deg(target.ra_deg, target.dec_deg, site, when)
    if altitude >= lowest:
        return None
    return (
        f"{target.name} stands at {altitude:.0f}° at the mount's place "
        f"({site.latitude_deg:.1f}°, {site.longitude_deg:.1f}°), below {lowest:g}°"
    )


def _seconds_before_lights(plan: Plan) -> float:
    seconds = 0.0
    for step in plan.steps():
        if step.kind is FrameKind.LIGHT:
            break
        seconds += step.exposure_s
    return seconds


def _of_camera(plan: Plan, devices: Observatory) -> Iterator[str]:
    name, limits, wanted = devices.camera.name, devices.camera.limits, plan.camera
    for word, value, allowed in (
        ("gain", wanted.gain, limits.gain),
        ("offset", wanted.offset, limits.offset),
    ):
        if value is None:
            continue
        if allowed is None:
            yield f"{name} has no {word} that can be set: leave {word} out of [camera]"
        else:
            yield from _outside(name, word, [value], allowed)
    if limits.binning is None and wanted.binning != 1:
        yield f"{name} cannot bin: leave binning out of [camera]"
    yield from _outside(name, "binning", [wanted.binning], limits.binning or _ANYTHING)
    yield from _outside(name, "exposure_s", _exposures(plan), limits.exposure_s)
    if plan.temperatures_c and not devices.camera.has_cooler:
        yield f"{name} has no cooler: leave temperature_c out of the plan's [camera]"
    yield from _outside(name, "temperature_c", plan.temperatures_c, limits.temperature_c or _ANYTHING)


def _exposures(plan: Plan) -> list[float]:
    """Every exposure but that of a bias, which is as short as the camera can."""
    seconds = (step.exposure_s for step in plan.steps() if step.kind is not FrameKind.BIAS)
    return list(dict.fromkeys(seconds))


def _outside(name: str, key: str, values: Iterable[float], allowed: Range) -> Iterator[str]:
    for value in values:
        if value not in allowed:
            yield f"{name} takes {key} {allowed}, not {value:g}"


def frame_bytes(plan: Plan, limits: CameraLimits) -> int | None:
    """Estimate the size of a frame's file, if the camera says how many pixels it has."""
    if not limits.width_px or not limits.height_px:
        return None
    return 2 * int(limits.width_px // plan.camera.binning) * int(limits.height_px // plan.camera.binning)
