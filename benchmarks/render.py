"""The simulated camera against the memory's floor: a frame of the real sky, and one more of the same field.

Each size runs in a process of its own, so that peak RSS is its own and the floor's planes are not in it. The
floor is one float32 plane copied, before.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from simulators.camera import Camera, Shot
from simulators.flat import FlatField
from simulators.mosaic import tiled
from simulators.profiles import ASI2600MM, ASI6200MM
from simulators.render import PointSources, StarShape, render
from simulators.sensor import Readout, SensorProfile

ROUNDS = 5
STARS = 5000


def seconds(action: Callable[..., object], *args: object) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    action(*args)
    return time.perf_counter() - started


def shot(profile: SensorProfile, number: int, field: int) -> Shot:
    """A minute of Praesepe and its surroundings."""
    return Shot(
        number=number,
        kind="LIGHT",
        exposure_s=60.0,
        started=datetime(2026, 2, 1, 22, tzinfo=UTC),
        started_elapsed_s=600.0,
        temperature_c=-10.0,
        readout=Readout(gain=100.0, offset=30.0, x=0, y=0, width=profile.width, height=profile.height),
        filter_name="L",
        ra_deg=130.1 + 0.01 * field,
        dec_deg=19.67,
    )


def stars_alone(camera: Camera) -> float:
    """5,000 stars, sky, vignetting and dust, without the catalogue and without noise."""
    p, rng = camera.profile, np.random.default_rng(1)
    stars = PointSources(
        rng.uniform(0, p.width, STARS),
        rng.uniform(0, p.height, STARS),
        10 ** rng.uniform(2.5, 6.0, STARS),
        np.zeros(STARS),
    )
    flat = FlatField(camera.telescope, p.width, p.height, p.pixel_um, "L", 0.0, 1)
    level = np.array(300.0)
    return seconds(
        render,
        p.width,
        p.height,
        stars,
        StarShape(fwhm_px=2.9),
        [lambda rows: tiled(level, rows, p.width)],
        flat,
    )


def copied(profile: SensorProfile) -> float:
    """Seconds to copy a plane of that size whose pages are all there."""
    plane = np.ones((profile.height, profile.width), np.float32)
    other = np.zeros_like(plane)
    np.copyto(other, plane)
    return statistics.median(seconds(np.copyto, other, plane) for _ in range(ROUNDS))


def measure(profile: SensorProfile, floor: float) -> None:
    """Print one line."""
    camera = Camera(1, profile=profile)
    camera.expose(shot(profile, 0, 0))  # the catalogue's first reading is not the renderer's
    rows = []
    for n in range(1, ROUNDS + 1):
        fresh = seconds(camera.expose, shot(profile, 2 * n, n))
        again = seconds(camera.expose, shot(profile, 2 * n + 1, n))
        rows.append((stars_alone(camera), fresh, again))
    alone, fresh, again = (statistics.median(column) for column in zip(*rows, strict=True))
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{profile.name:10} {profile.width * profile.height / 1e6:4.0f} Mpx  floor {floor:6.3f} s  "
        f"5000 stars {alone:6.3f} s (×{alone / floor:3.0f})  "
        f"new field {fresh:6.3f} s (×{fresh / floor:3.0f})  "
        f"same field {again:6.3f} s (×{again / floor:3.0f})  peak {peak_gb:4.2f} GB"
    )


def main() -> None:
    """Both sizes."""
    for profile in (ASI2600MM, ASI6200MM):
        process = multiprocessing.get_context("spawn").Process(
            target=measure, args=(profile, copied(profile))
        )
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
