"""Rebuilding the catalogue from files against astropy's ``getheader`` over the same files; and opening it."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits

from library.cards import Card
from library.digests import Digest, append_digests
from library.rebuilding import rebuild
from library.scan import digest_file
from library.store import Library, library_folder
from library.writing import encode_image

ROUNDS = 5
BASELINE_FILES = 1000


def fill(folder: Path, count: int) -> list[Path]:
    """Dark frames of 16×16 pixels with a header of 60 cards, as a camera's driver and we leave them."""
    pixels = np.zeros((16, 16), np.uint16)
    others: list[Card] = [(f"OTHER{n}", n / 7, "what else a driver says") for n in range(34)]
    files, digests = [], {}
    for number in range(count):
        path = f"frames/2026-03-{number // 2000 % 28 + 1:02}/dark/dark_{number}.fits"
        cards: list[Card] = [
            ("INSTRUME", "CCD Simulator", "CCD Name"),
            ("IMAGETYP", "Dark Frame", "kind of frame"),
            ("EXPTIME", float(number % 7 * 60), "[s] exposure"),
            ("CCD-TEMP", -10.0, "[degC] sensor temperature"),
            ("SET-TEMP", -10.0, "[degC] sensor set point"),
            ("GAIN", 100.0, "camera gain setting"),
            ("OFFSET", 50.0, "camera offset setting"),
            ("XBINNING", 1, ""),
            ("YBINNING", 1, ""),
            ("DATE-OBS", f"2026-03-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}", ""),
            ("FRAMEID", f"frame-{number}", "identity of this frame"),
            ("PLANID", "plan", "plan that asked for it"),
            ("STEPID", f"{number:06}", "step of the plan"),
            *others,
        ]
        buffers = encode_image(pixels, cards)
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"".join(buffers))
        files.append(file)
        digests[path] = Digest(digest_file(file), file.stat().st_size, f"frame-{number}")
    append_digests(folder, digests)
    return files


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Print frames per second, their ratio round by round, and the seconds that opening takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=10_000)
    count = parser.parse_args().frames
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as root:
        folder = library_folder(root)
        files = fill(folder, count)
        some = files[:: max(1, count // BASELINE_FILES)]
        rebuild(folder)  # so that the cache is warm
        ours, theirs = [], []
        for _ in range(ROUNDS):
            theirs.append(len(some) / seconds(lambda: [fits.getheader(file) for file in some]))
            ours.append(count / seconds(lambda: rebuild(folder)))
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        opening = statistics.median(seconds(lambda: Library.open(root).close()) for _ in range(ROUNDS))
    print(f"{count} frames, median of {ROUNDS} rounds")
    print(f"rebuild           {statistics.median(ours):8.0f} frames/s")
    print(f"astropy getheader {statistics.median(theirs):8.0f} frames/s (headers alone)")
    print(f"ratio             {ratio:8.2f}")
    print(f"Library.open      {opening:8.3f} s")


if __name__ == "__main__":
    main()
