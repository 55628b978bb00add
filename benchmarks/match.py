"""Matching with 100,000 frames in the catalogue, against the plain scan over all masters' records."""

from __future__ import annotations

import dataclasses
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

from library.fitness import settings_of, temperature_c
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.matching import match
from library.rows import to_row
from library.store import Library

FRAMES = 100_000
LIGHTS = 400
CAMERAS = [f"Camera {number}" for number in range(8)]
GAINS, TEMPS_C, EXPOSURES_S = (
    (0.0, 100.0, 200.0),
    (-20.0, -15.0, -10.0, -5.0, 0.0),
    (10.0, 30.0, 60.0, 120.0, 300.0),
)
FILTERS, ANGLES = ("L", "R", "G", "B", "Ha"), (0.0, 90.0, 180.0)
FIRST_NIGHT = datetime(2024, 1, 1, tzinfo=UTC)


def masters(rng: random.Random) -> list[FrameMeta]:
    """Some 6,000 masters of 8 cameras: for every setting, and flats of many nights."""
    metas = []
    for camera, gain in product(CAMERAS, GAINS):
        base = FrameMeta(
            kind=FrameKind.BIAS,
            width=6248,
            height=4176,
            camera=camera,
            gain=gain,
            offset=50.0,
            n_combined=50,
            noise_adu=1.0,
            exposure_s=0.0,
            date_obs=FIRST_NIGHT,
            telescope="RC8",
        )
        for year, temp in product(range(3), TEMPS_C):
            date = FIRST_NIGHT + timedelta(days=300 * year)
            cold = dataclasses.replace(base, sensor_temp_c=temp, date_obs=date)
            metas += [cold, dataclasses.replace(cold, kind=FrameKind.DEFECTS)]
            metas += [dataclasses.replace(cold, kind=FrameKind.DARK, exposure_s=s) for s in EXPOSURES_S]
        model = dataclasses.replace(base, kind=FrameKind.DARK_MODEL, temp_range_c=(-20.0, 0.0))
        metas.append(dataclasses.replace(model, exposure_range_s=(10.0, 300.0)))
        for _ in range(150):
            metas.append(
                dataclasses.replace(
                    base,
                    kind=FrameKind.FLAT,
                    exposure_s=2.0,
                    filter=rng.choice(FILTERS),
                    rotator_deg=rng.choice(ANGLES),
                    date_obs=FIRST_NIGHT + timedelta(days=rng.randrange(900)),
                )
            )
    return metas


def fill(library: Library, rng: random.Random) -> None:
    """Rows without their files: 100,000 frames, and the masters of them."""
    metas = masters(rng)
    light = dataclasses.replace(metas[0], kind=FrameKind.LIGHT, exposure_s=120.0, filter="L", n_combined=1)
    rows = [to_row(f"masters/{i}.fits", "", 1, meta, is_master=True) for i, meta in enumerate(metas)]
    rows += [to_row(f"frames/{i}.fits", "", 1, light, is_master=False) for i in range(FRAMES - len(metas))]
    columns = ", ".join(f'"{column}"' for column in rows[0])
    marks = ", ".join("?" * len(rows[0]))
    with sqlite3.connect(library.folder / "catalogue.sqlite") as connection:
        connection.executemany(
            f"INSERT INTO frame ({columns}) VALUES ({marks})", [tuple(row.values()) for row in rows]
        )
    connection.close()


def lights(rng: random.Random) -> list[FrameMeta]:
    """Lights of all cameras: some with all their masters, some between temperatures, some with nothing."""
    return [
        FrameMeta(
            kind=FrameKind.LIGHT,
            width=6248,
            height=4176,
            camera=rng.choice([*CAMERAS, "Unknown"]),
            gain=rng.choice(GAINS),
            offset=50.0,
            exposure_s=rng.choice([*EXPOSURES_S, 45.0, 900.0]),
            sensor_temp_c=rng.choice(TEMPS_C) + rng.choice([0.0, 0.1, 2.5]),
            filter=rng.choice(FILTERS),
            rotator_deg=rng.choice(ANGLES),
            telescope="RC8",
            date_obs=FIRST_NIGHT + timedelta(days=rng.randrange(900)),
        )
        for _ in range(LIGHTS)
    ]


def plain_scan(library: Library, light: FrameMeta) -> FrameRecord | None:
    """What one would write first: a loop over all master darks from the catalogue, for the dark alone."""
    best = None
    for record in library.find(kind=FrameKind.DARK, master=True):
        meta = record.meta
        same = all(key.value(meta) == key.value(light) for key in settings_of(FrameKind.DARK))
        away_c = abs((temperature_c(meta) or 0) - (temperature_c(light) or 0))
        if same and meta.exposure_s == light.exposure_s and away_c <= 1:
            best = record
    return best


def timed(
    work: Callable[[FrameMeta], object], frames: list[FrameMeta], clock: Callable[[], float]
) -> list[float]:
    """Milliseconds of each, by one clock."""
    spent = []
    for frame in frames:
        started = clock()
        work(frame)
        spent.append(1e3 * (clock() - started))
    return sorted(spent)


def main() -> None:
    """Print the median and the 95th percentile of both, and their ratio."""
    rng = random.Random(4)
    with tempfile.TemporaryDirectory() as folder, Library.open(Path(folder)) as library:
        fill(library, rng)
        frames = lights(rng)
        first = timed(lambda light: match(library, light), frames[:1], time.perf_counter)[0]
        n = len(library.find(master=True))
        print(f"{FRAMES} frames, {n} masters; the first match, which reads them: {first:.0f} ms")
        print(f"{'':32}{'median':>10}{'p95':>10}")
        for clock in (time.perf_counter, time.thread_time):  # the second is blind to a busy machine
            scan = timed(lambda light: plain_scan(library, light), frames[:20], clock)
            ours = timed(lambda light: match(library, light), frames, clock)
            print(f"by {clock.__name__}")
            for name, spent in (("plain scan, for the dark alone", scan), ("match, everything", ours)):
                print(f"{name:32}{statistics.median(spent):8.2f}ms{spent[int(0.95 * len(spent))]:8.2f}ms")
            print(f"ratio of the medians: {statistics.median(scan) / statistics.median(ours):.0f}")


if __name__ == "__main__":
    main()
