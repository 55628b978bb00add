"""Exact restacks of subs on disk against Siril's batch and plain numpy with OpenCV: time and peak of memory.

Each way runs in a process of its own. Siril calibrates, registers and stacks with winsorized rejection; the
plain way calibrates, warps by the known shift and clips at 3 sigma about the median. Ours calibrates,
registers and combines at each sub's known place; what finding that place takes is told beside it. Processor
seconds are told as well, as a busy machine has fewer of them in a second.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.stack import SIZES, apart, siril, write_night


def exact(folder: Path, *, method: str) -> dict[str, Any]:
    """Ours, from the files on."""
    from library.reading import read_frame
    from livestack.masters import prepare
    from livestack.normalise import Surface
    from livestack.placing import Placed
    from livestack.restack import StoredSub
    from livestack.restack import exact as restacked
    from livestack.restack_methods import stacking_method
    from livestack.survey import Patches
    from livestack.warp import Warp

    lights = sorted(folder.glob("light_*.fits"))
    first = read_frame(lights[0])
    pattern = first.meta.bayer_pattern
    shape = (first.pixels.shape[0], first.pixels.shape[1])
    channels = 1 if pattern is None else 3
    masters = prepare(
        dark=read_frame(folder / "dark.fits").pixels.astype(np.float32),
        flat=read_frame(folder / "flat.fits").pixels.astype(np.float32),
        bayer_pattern=pattern,
    )
    subs = [
        StoredSub(
            path,
            Placed(
                bayer_pattern=pattern,
                warp=Warp(_back(number)),
                scale=1.0,
                surface=Surface(np.zeros((channels, 6)), np.zeros(2), 1.0),
                weight=1.0,
                noise_adu=20.0,
                patches=Patches(),
            ),
            masters,
        )
        for number, path in enumerate(lights)
    ]
    chosen = stacking_method(method)
    restacked(subs[:3], (128, 512), channels, [500.0], chosen)  # compiled, or read from where it is kept
    started, used = time.perf_counter(), time.process_time()
    restacked(subs, shape, channels, [500.0], chosen)
    seconds = time.perf_counter() - started, time.process_time() - used
    return {"seconds": [seconds[0] / len(subs)], "processor": seconds[1] / len(subs)}


def placing(folder: Path) -> dict[str, Any]:
    """Reading, looking and aligning, as any of ours needs it once."""
    from library.reading import read_frame
    from livestack.engine import LiveStack, Sub
    from livestack.masters import prepare
    from livestack.warm import warm_up

    warm_up()
    masters = prepare(
        dark=read_frame(folder / "dark.fits").pixels.astype(np.float32),
        flat=read_frame(folder / "flat.fits").pixels.astype(np.float32),
    )
    stack, seconds, used = LiveStack(), [], time.process_time()
    for path in sorted(folder.glob("light_*.fits")):
        started = time.perf_counter()
        frame = read_frame(path)
        stack.place(Sub(frame_id=path.name, pixels=frame.pixels, meta=frame.meta, masters=masters))
        seconds.append(time.perf_counter() - started)
    used = time.process_time() - used
    return {"seconds": [statistics.median(seconds[1:])], "processor": used / len(seconds)}


def plain(folder: Path) -> dict[str, Any]:
    """Everything in memory: astropy, numpy, OpenCV; three rounds of a 3-sigma clip, band by band."""
    import cv2
    from astropy.io import fits

    lights = sorted(folder.glob("light_*.fits"))
    started, used = time.perf_counter(), time.process_time()
    dark = fits.getdata(folder / "dark.fits").astype(np.float32)
    flat = fits.getdata(folder / "flat.fits").astype(np.float32) / 30_000
    cube = np.empty((len(lights), *dark.shape), np.float32)
    for number, path in enumerate(lights):
        image = (fits.getdata(path).astype(np.float32) - dark) / flat
        cube[number] = cv2.warpAffine(
            image,
            _back(number)[:2],
            dark.shape[::-1],
            flags=cv2.INTER_LANCZOS4,
            borderValue=(float("nan"),) * 4,
        )
    for top in range(0, dark.shape[0], 64):
        _clipped_mean(cube[:, top : top + 64])
    seconds = time.perf_counter() - started, time.process_time() - used
    return {"seconds": [seconds[0] / len(lights)], "processor": seconds[1] / len(lights)}


def batch(folder: Path) -> dict[str, Any]:
    """Siril's, as ``benchmarks.stack`` runs it; its peak is its own."""
    answer = siril(folder)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = (used.ru_utime + used.ru_stime) / len(answer["seconds"])
    return answer | {"processor": processor, "children_gb": used.ru_maxrss / 1e6}


def _clipped_mean(band: NDArray[np.float32]) -> NDArray[np.float32]:
    kept = band
    for _ in range(3):
        middle, sigma = np.nanmedian(kept, axis=0), np.nanstd(kept, axis=0)
        kept = np.where(np.abs(kept - middle) <= 3 * sigma, kept, np.float32(np.nan))
    return np.asarray(np.nanmean(kept, axis=0), np.float32)


def _back(number: int) -> NDArray[np.float64]:
    """Light ``number`` of :func:`write_night` onto the first."""
    shift = 3.3 * (number % 20)
    matrix = np.eye(3)
    matrix[:2, 2] = -shift, -shift / 2
    return matrix


def main() -> None:
    """Print seconds a sub, how many of ours they are, and peaks of memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="9,26", help="megapixels, of 2, 9, 26, 61")
    parser.add_argument("--subs", type=int, default=10)
    parser.add_argument("--methods", default="mean,median,sigma,winsorized,percentile,linear-fit")
    parser.add_argument("--osc", action="store_true", help="Bayer frames; ours alone")
    arguments = parser.parse_args()
    for size in arguments.sizes.split(","):
        with tempfile.TemporaryDirectory() as folder:
            write_night(Path(folder), SIZES[size], arguments.subs, osc=arguments.osc)
            ways: dict[str, Callable[[Path], dict[str, Any]]] = {
                name: partial(exact, method=name) for name in arguments.methods.split(",")
            }
            if not arguments.osc:
                ways |= {"(placing)": placing, "plain": plain}
                ways |= {"siril": batch} if shutil.which("siril-cli") else {}
            found = {name: apart(way, Path(folder)) for name, way in ways.items()}
        ours = found.get("winsorized", {"seconds": [nan], "processor": nan})
        for name, answer in found.items():
            wall, processor = answer["seconds"][0], answer["processor"]
            print(
                f"{size} Mpx × {arguments.subs:<4} {name:12}{wall:8.3f} s/sub "
                f"({processor:.3f} of a processor), "
                f"{wall / ours['seconds'][0]:.1f} ({processor / ours['processor']:.1f}) of winsorized, "
                f"{answer.get('children_gb', answer['peak_gb']):.2f} GB"
            )


if __name__ == "__main__":
    main()
