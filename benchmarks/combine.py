"""A sigma-clipped master of many darks: ours against ``ccdproc.combine``, each in a process of its own.

    python -m benchmarks.combine                       # 50 darks of 26 Mpx, both (uv sync --group bench)
    python -m benchmarks.combine --size 2048 --frames 20
    python -m benchmarks.combine --only ours

The same clip (once, 3 MAD sigmas about the median) and mean of the rest; ccdproc gets a ``mem_limit`` of
1.2 GB and its fastest functions, the names that astropy has compiled code for.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from library.cards import Card
from library.combine import combine
from library.frames import FrameKind
from library.methods import Method
from library.writing import write_image

METHOD = "sigma_clip:low=3,high=3,centre=median,spread=mad,rounds=1,floor=off"
MEM_LIMIT = 1.2e9
CARDS: list[Card] = [("IMAGETYP", "Dark Frame", ""), ("BUNIT", "adu", "")]


def make(folder: Path, shape: tuple[int, int], frames: int) -> None:
    """Darks with hot pixels and hits."""
    rng = np.random.default_rng(1)
    dark = np.rint(rng.normal(500, 3, shape)).astype(np.int32)
    dark.reshape(-1)[rng.integers(dark.size, size=dark.size // 500)] += 4000
    for number in range(frames):
        frame = (
            dark + rng.integers(-14, 15, shape, dtype=np.int8) + rng.integers(-14, 15, shape, dtype=np.int8)
        )
        frame.reshape(-1)[rng.integers(frame.size, size=frame.size // 20_000)] += 3000
        write_image(folder / f"{number:03}.fits", frame.astype(np.uint16), CARDS)


def ours(folder: Path) -> np.ndarray:
    return combine(sorted(folder.glob("*.fits")), FrameKind.DARK, method=Method.parse(METHOD)).pixels


def ccdproc(folder: Path) -> np.ndarray:
    import ccdproc

    master = ccdproc.combine(
        [str(path) for path in sorted(folder.glob("*.fits"))],
        method="average",
        sigma_clip=True,
        sigma_clip_low_thresh=3,
        sigma_clip_high_thresh=3,
        sigma_clip_func="median",
        sigma_clip_dev_func="mad_std",
        mem_limit=MEM_LIMIT,
        dtype=np.float32,
    )
    return np.asarray(master.data)


WAYS = {"ours": ours, "ccdproc": ccdproc}


def run(way: str, folder: Path) -> dict[str, float]:
    """One way in a child process: seconds, and its peak of resident memory."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.combine", "--child", way, "--folder", str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{way:8} {result['seconds']:8.1f} s   of processor {result['cpu_seconds']:8.1f} s   "
        f"peak {result['peak_mb']:7.0f} MB",
        flush=True,
    )
    return result


def child(way: str, folder: Path) -> None:
    started = time.perf_counter()
    pixels = WAYS[way](folder)
    seconds = time.perf_counter() - started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cpu_seconds = time.process_time()
    np.save(folder / f"{way}.npy", pixels)
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak_mb}))


def main() -> None:
    """Print seconds, peak memory, their ratio, and the largest difference of the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, help="a square frame of this size (default: 6248 × 4176)")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--only", choices=sorted(WAYS))
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", choices=sorted(WAYS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.folder)
        return
    shape = (arguments.size, arguments.size) if arguments.size else (4176, 6248)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, shape, arguments.frames)
        print(f"{arguments.frames} darks of {shape[1]} × {shape[0]}", flush=True)
        found = {way: run(way, folder) for way in WAYS if arguments.only in {None, way}}
        if len(found) == len(WAYS):
            one, other = (np.load(folder / f"{way}.npy", mmap_mode="r") for way in WAYS)
            apart = max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))
            ratio, of_cpu = (found["ccdproc"][key] / found["ours"][key] for key in ("seconds", "cpu_seconds"))
            print(
                f"{ratio:.1f}× faster ({of_cpu:.1f}× less processor time); largest difference {apart:.2g} ADU"
            )


if __name__ == "__main__":
    main()
