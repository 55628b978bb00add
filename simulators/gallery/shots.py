"""Frames for the gallery: a camera, a field, and what is special."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.camera import Camera, Shot
from simulators.profiles import DEMO
from simulators.sensor import ADU, Readout, SensorProfile

SEED = 1
SMALL = replace(DEMO, width=930, height=620)

FIELDS = {
    "M42": (83.82, -5.39),
    "M31": (10.685, 41.27),
    "M27": (299.90, 22.72),
    "M51": (202.47, 47.20),
    "M45": (56.75, 24.12),
    "M44": (130.10, 19.67),
    "NGC 7000": (314.75, 44.37),
    "NGC 7023": (315.39, 68.16),
}


def take(
    camera: Camera,
    kind: str = "LIGHT",
    *,
    exposure_s: float = 60.0,
    field: str = "M44",
    filter_name: str = "L",
    number: int = 1,
    temperature_c: float = -10.0,
    gain: float | None = None,
    bins: int = 1,
    mode: int = 0,
    started: datetime = datetime(2026, 1, 15, 21, 0, tzinfo=UTC),
    **more: Any,
) -> ADU:
    """One frame."""
    p = camera.profile
    ra_deg, dec_deg = FIELDS[field]
    readout = Readout(
        gain=gain if gain is not None else p.gain.default if p.gain else 0.0,
        offset=p.offset.default if p.offset else 0.0,
        x=0,
        y=0,
        width=p.width,
        height=p.height,
        bin_x=bins,
        bin_y=bins,
        mode=mode,
    )
    shot = Shot(
        number=number,
        kind=kind,
        exposure_s=exposure_s,
        started=started,
        started_elapsed_s=600.0,
        temperature_c=temperature_c,
        readout=readout,
        filter_name=filter_name,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        **more,
    )
    return camera.expose(shot)[0]


def in_colour(frame: ADU, profile: SensorProfile) -> NDArray[np.float32]:
    """A mosaic's frame as colour at half size, ``(h, w, 3)``, each channel scaled to an equal sky."""
    assert profile.bayer is not None
    channels: dict[str, list[NDArray[np.float32]]] = {"R": [], "G": [], "B": []}
    for index, colour in enumerate(profile.bayer):
        channels[colour].append(frame[index // 2 :: 2, index % 2 :: 2].astype(np.float32))
    return balanced(*(np.mean(channels[colour], axis=0) for colour in "RGB"))


def balanced(red: NDArray[Any], green: NDArray[Any], blue: NDArray[Any]) -> NDArray[np.float32]:
    """Three frames as colour: the darkest level taken off, then scaled to an equal background."""
    planes = []
    for plane in (red, green, blue):
        values = np.asarray(plane, np.float32)
        planes.append(values - np.percentile(values[::8, ::8], 20))
    spread = [float(np.percentile(plane[::8, ::8], 99.7)) for plane in planes]
    return np.stack([plane * (spread[1] / max(s, 1e-6)) for plane, s in zip(planes, spread, strict=True)], -1)
