"""A sub from the disk into the live stack, against plain Python, Siril's batch and the memory's own speed.

Each way runs in a process of its own, so that its peak of memory is its own. ``--siril`` needs siril-cli.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLANE_BYTES = {"raw": 2, "dark": 4, "flat": 2, "stack, read and written": 2 * 14}
SIZES = {"2": (1080, 1936), "9": (2822, 4144), "26": (4176, 6248), "61": (6388, 9576)}
STARS_PER_MPX = 300
TICK_S = 0.002


def field(shape: tuple[int, int], shift: float, seed: int) -> NDArray[np.uint16]:
    """A field of Gaussian stars, shifted, under sky noise."""
    sky = np.random.default_rng(7)
    image = np.random.default_rng(seed).normal(1000, 20, shape).astype(np.float32)
    height, width = shape
    grid = np.arange(-8, 9)
    for _ in range(STARS_PER_MPX * height * width // 1_000_000):
        x, y, peak = sky.uniform(40, width - 40), sky.uniform(40, height - 40), 100 * sky.pareto(1.2) + 100
        column, row = int(x + shift), int(y + shift / 2)
        star = np.exp(
            -((grid[None, :] + column - x - shift) ** 2 + (grid[:, None] + row - y - shift / 2) ** 2) / 4.0
        )
        image[row - 8 : row + 9, column - 8 : column + 9] += min(peak, 40_000) * star
    return np.clip(image, 0, 65535).astype(np.uint16)


def write_night(folder: Path, shape: tuple[int, int], subs: int, *, osc: bool) -> None:
    """Write lights, a dark and a flat."""
    from library.writing import write_image

    for number in range(subs):
        cards: list[Any] = [("IMAGETYP", "Light Frame", ""), ("EXPTIME", 60.0, "")]
        cards += [("BAYERPAT", "RGGB", "")] if osc else []
        write_image(folder / f"light_{number:05}.fits", field(shape, 3.3 * (number % 10), number), cards)
    write_image(folder / "dark.fits", np.full(shape, 500, np.uint16), [("IMAGETYP", "Dark Frame", "")])
    write_image(folder / "flat.fits", np.full(shape, 30_000, np.uint16), [("IMAGETYP", "Flat Field", "")])


def plain(folder: Path) -> dict[str, Any]:
    """astropy, numpy, astroalign and a running mean."""
    import astroalign
    from astropy.io import fits

    dark = fits.getdata(folder / "dark.fits").astype(np.float32)
    flat = fits.getdata(folder / "flat.fits").astype(np.float32) / 30_000
    first: NDArray[np.float32] | None = None
    mean, seconds = dark, []
    for count, path in enumerate(sorted(folder.glob("light_*.fits")), start=1):
        started = time.perf_counter()
        image = (fits.getdata(path).astype(np.float32) - dark) / flat
        if first is None:
            first, mean = image, image.copy()
        else:
            aligned, _ = astroalign.register(image, first)
            mean += (aligned - mean) / count
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds}


def live(folder: Path, subs: int) -> dict[str, Any]:
    """Ours: calibrated, aligned, weighted, with rejection; and how long another thread had to wait.

    The lights go round until there are ``subs``.
    """
    from library.memory import give_back_large_blocks
    from library.reading import read_frame
    from livestack.engine import LiveStack, Sub
    from livestack.events import SubAccepted
    from livestack.masters import prepare
    from livestack.warm import warm_up

    give_back_large_blocks()
    started = time.perf_counter()
    warm_up()
    warm_s = time.perf_counter() - started
    lights = sorted(folder.glob("light_*.fits"))
    pattern = read_frame(lights[0]).meta.bayer_pattern
    masters = prepare(
        dark=read_frame(folder / "dark.fits").pixels.astype(np.float32),
        flat=read_frame(folder / "flat.fits").pixels.astype(np.float32),
        bayer_pattern=pattern,
    )
    stack, seconds, stages, rss_10 = LiveStack(), [], [], 0.0
    waited: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            before = time.perf_counter()
            time.sleep(TICK_S)
            waited.append(time.perf_counter() - before - TICK_S)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        for number in range(subs):
            path = lights[number % len(lights)]
            started = time.perf_counter()
            frame = read_frame(path)
            outcome = stack.process(
                Sub(frame_id=str(number), pixels=frame.pixels, meta=frame.meta, masters=masters)
            )
            del frame
            seconds.append(time.perf_counter() - started)
            stages.append(outcome.stage_seconds)
            assert isinstance(outcome.event, SubAccepted), outcome.event
            if number == 9:
                rss_10 = rss_gb()
    finally:
        done.set()
        thread.join()
    rss_last = rss_gb()
    started = time.perf_counter()
    for name in stack.filters:
        stack.snapshot(name)
    return {
        "seconds": seconds,
        "rss_gb": (rss_10, rss_last),
        "warm_s": warm_s,
        "picture_s": time.perf_counter() - started,
        "wait_p95_ms": 1000 * float(np.percentile(waited, 95)),
        "stages": {key: statistics.median(each[key] for each in stages[1:]) for key in stages[0]},
    }


def rss_gb() -> float:
    """What this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e9


def siril(folder: Path) -> dict[str, Any]:
    """Preprocess, register and stack with winsorized rejection in one batch; seconds a sub, all told."""
    lights = sorted(folder.glob("light_*.fits"))
    with tempfile.TemporaryDirectory(dir=folder) as work:
        raw = Path(work) / "raw"
        raw.mkdir()
        for path in lights:
            shutil.copyfile(path, raw / path.name)
        for name in ("dark.fits", "flat.fits"):
            shutil.copyfile(folder / name, Path(work) / name)
        script = Path(work) / "stack.ssf"
        script.write_text(
            f"requires 1.0.0\ncd {raw}\nconvert light -out=..\ncd ..\n"
            "preprocess light -dark=dark -flat=flat\nregister pp_light\n"
            "stack r_pp_light rej w 3 3 -norm=addscale -out=result\n"
        )
        started = time.perf_counter()
        done = subprocess.run(["siril-cli", "-s", str(script)], capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"siril-cli failed:\n{done.stdout[-2000:]}")
    return {"seconds": [seconds / len(lights)] * len(lights)}


def apart(way: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run one way in a process of its own; adds its peak of memory."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(way, arguments, theirs))
    process.start()
    answer: dict[str, Any] = json.loads(ours.recv())
    process.join()
    return answer


def _child(way: Callable[..., dict[str, Any]], arguments: tuple[Any, ...], pipe: Any) -> None:
    answer = way(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    pipe.send(json.dumps(answer | {"peak_gb": peak}))


def plane_copy_s(shape: tuple[int, int]) -> float:
    """Copy one float32 plane: the memory's own speed."""
    one = np.ones(shape, np.float32)
    other = np.empty_like(one)
    times = []
    for _ in range(7):
        started = time.perf_counter()
        np.copyto(other, one)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def floor_s(copy_s: float, *, osc: bool) -> float:
    """What must be read or written of memory for a sub, at the speed of a copy (4 bytes in and 4 out)."""
    stack = PLANE_BYTES["stack, read and written"] * (3 if osc else 1)
    once = PLANE_BYTES["raw"] + PLANE_BYTES["dark"] + PLANE_BYTES["flat"]
    return copy_s * (stack + once) / 8


def tell_long(told: dict[str, Any]) -> None:
    """What many subs have made slower or larger."""
    seconds, (rss_10, rss_last) = told["seconds"], told["rss_gb"]
    early, late = statistics.median(seconds[5:25]), statistics.median(seconds[-20:])
    print(
        f"{'':10}sub {len(seconds)} takes {late / early:.3f} times what the 10th does "
        f"(medians of 20: {late:.3f} and {early:.3f} s); in memory after 10 subs {rss_10:.3f} GB, "
        f"after {len(seconds)} {rss_last:.3f} GB"
    )


def main() -> None:
    """Print seconds a sub after the first, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="2,9,26", help="megapixels, of 2, 9, 26, 61")
    parser.add_argument("--subs", type=int, default=6, help="lights on disk")
    parser.add_argument("--long", type=int, metavar="N", help="let ours go round until there are N")
    parser.add_argument("--osc", action="store_true", help="Bayer frames as well")
    parser.add_argument("--plain", action=argparse.BooleanOptionalAction, default=True, help="plain Python")
    parser.add_argument("--siril", action="store_true", help="Siril's batch as well")
    arguments = parser.parse_args()
    print(f"{'':10}{'way':8}{'s/sub':>8}{'ours is':>10}{'peak GB':>9}")
    for size in arguments.sizes.split(","):
        shape = SIZES[size]
        copy_s = plane_copy_s(shape)
        mono_s = 0.0
        for osc in (False, True) if arguments.osc else (False,):
            with tempfile.TemporaryDirectory() as folder:
                write_night(Path(folder), shape, arguments.subs, osc=osc)
                found = {"live": apart(live, Path(folder), arguments.long or arguments.subs)}
                if arguments.plain and not osc:
                    found["plain"] = apart(plain, Path(folder))
                if arguments.siril and not osc:
                    found["siril"] = apart(siril, Path(folder))
            own = statistics.median(found["live"]["seconds"][1:])
            for name, answer in found.items():
                seconds = statistics.median(answer["seconds"][1:])
                label = f"{size} Mpx{' OSC' if osc else ''}"
                print(f"{label:10}{name:8}{seconds:8.3f}{seconds / own:9.1f}×{answer['peak_gb']:9.3f}")
            told = found["live"]
            beside_mono = f", {own / mono_s:.2f} times mono" if osc else ""
            mono_s = mono_s or own
            print(
                f"{'':10}{own / floor_s(copy_s, osc=osc):.1f} times the memory's floor "
                f"(a plane copied {copy_s:.4f} s){beside_mono}; "
                f"warm {told['warm_s']:.1f} s, picture {told['picture_s']:.2f} s, "
                f"another thread waits {told['wait_p95_ms']:.1f} ms (p95); "
                + ", ".join(f"{name} {value:.3f}" for name, value in told["stages"].items())
            )
            if arguments.long:
                tell_long(told)


if __name__ == "__main__":
    main()
