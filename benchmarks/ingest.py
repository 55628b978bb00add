"""``Library.add`` (stamp, sha256, fsync, rename, row) against a plain write + fsync of the same bytes."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np

from library.frames import FrameKind, Stamp
from library.store import Library
from library.writing import encode_image

SIZES = {"2 Mpx": (1080, 1936), "26 Mpx": (4176, 6248), "61 Mpx": (6388, 9576)}
ROUNDS = 7


def plain(folder: Path, data: bytes) -> float:
    """Write and fsync; returns seconds."""
    started = time.perf_counter()
    with (folder / uuid.uuid4().hex).open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - started


def durable(library: Library, data: bytes) -> float:
    """Add to the library; returns seconds."""
    stamp = Stamp(
        frame_id=uuid.uuid4().hex,
        kind=FrameKind.LIGHT,
        plan_id="benchmark",
        step_id=uuid.uuid4().hex,
        exposure_s=60.0,
        camera="benchmark",
    )
    started = time.perf_counter()
    library.add(data, stamp)
    return time.perf_counter() - started


def main() -> None:
    """Print the median seconds of both, and their ratio pair by pair."""
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, Library.open(folder) as library:
        print(f"{'frame':8} {'plain':>9} {'durable':>9} {'ratio':>7}")
        for name, shape in SIZES.items():
            data = b"".join(encode_image(rng.integers(0, 65536, shape, dtype=np.uint16), []))
            pairs = [(plain(Path(folder), data), durable(library, data)) for _ in range(ROUNDS + 1)][1:]
            before, after = (statistics.median(each) for each in zip(*pairs, strict=True))
            ratio = statistics.median(b / a for a, b in pairs)
            print(f"{name:8} {before:8.3f}s {after:8.3f}s {ratio:7.2f}")


if __name__ == "__main__":
    main()
