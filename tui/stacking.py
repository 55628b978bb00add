"""``firstlight stack``: its options, and how it goes on the terminal."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from livestack.demosaics import DEFAULT as DEMOSAIC
from livestack.demosaics import METHODS as DEMOSAICS
from tui.terminal import warn

if TYPE_CHECKING:
    from firstlight.stack_job import StackJob

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
METHODS = ("live", "mean", "median", "sigma", "winsorized", "percentile", "linear-fit")

Add = Callable[..., argparse.ArgumentParser]


def register(add: Add) -> None:
    """Add the command to the parser."""
    stack = add(
        "stack",
        help="calibrate, align and integrate files, or a folder as it fills",
        description="Stack lights: files, folders and patterns, or a folder as it fills. Each filter gets a "
        "stack of its own, all on one geometry. Interrupted, the same command goes on.",
    )
    stack.add_argument(
        "lights",
        type=Path,
        nargs="*",
        metavar="LIGHT",
        help="files (FITS, XISF, TIFF, 16-bit PNG, SER, raw files of cameras), folders, patterns in quotes",
    )
    stack.add_argument("--watch", type=Path, metavar="DIR", help="follow a folder instead, until Ctrl-C")
    stack.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT.fits",
        help="the stack; of several filters OUT_Ha.fits and so on",
    )  # fmt: skip
    stack.add_argument(
        "--preview", type=Path, metavar="P.png", help="a stretched picture, in colour if it can"
    )
    stack.add_argument(
        "--palette", metavar="NAME", help="of the colours: RGB, LRGB, SHO, HOO… (default: the best)"
    )
    stack.add_argument("--report", type=Path, metavar="R.json", help="what became of each sub, as JSON")
    _calibration(stack)
    _method(stack)
    _subs(stack)
    watch = stack.add_argument_group("with --watch")
    watch.add_argument("--until", type=int, metavar="N", help="end with so many subs stacked")
    watch.add_argument("--idle", type=float, metavar="SECONDS", help="end when nothing new came for so long")
    stack.add_argument("--fresh", action="store_true", help="forget what an interrupted run has left")
    stack.add_argument(
        "--keep",
        action="store_true",
        help="keep the state at the end: subs go out and back without a new look",
    )
    stack.add_argument("--json", action="store_true", help="one JSON object a line")
    stack.set_defaults(run=run)


def _calibration(stack: argparse.ArgumentParser) -> None:
    group = stack.add_argument_group("calibration")
    for kind, plural in (("dark", "darks"), ("flat", "flats"), ("bias", "biases")):
        group.add_argument(
            f"--{kind}", type=Path, action="append", nargs="+", default=[], metavar="F",
            help=f"a master {kind}, or {plural} to make one of: files, folders, patterns; may repeat",
        )  # fmt: skip
    group.add_argument(
        "--as-given",
        action="store_true",
        help="take these files for what they are given as, even if their headers say another kind",
    )
    group.add_argument("--defects", type=Path, metavar="F", help="a defect map of the library")
    group.add_argument(
        "--library", type=Path, metavar="ROOT", help="find the masters for each light in the library there"
    )
    group.add_argument(
        "--optimise-dark",
        action="store_true",
        help="scale the dark to what each light shows, above the bias (default: darks of a dark model alone)",
    )
    group.add_argument(
        "--uncalibrated-flats",
        action="store_true",
        help="take raw flats without --bias all the same: right where the camera has no pedestal",
    )


def _method(stack: argparse.ArgumentParser) -> None:
    group = stack.add_argument_group("method")
    group.add_argument(
        "--method", default="live", metavar="M",
        help=f"{', '.join(METHODS)} (default live: outliers go while it grows; "
        "the others read all subs again); limits as in sigma:low=4,high=3",
    )  # fmt: skip
    group.add_argument(
        "--reference", type=Path, metavar="FILE", help="a light or a stack that the result lies on"
    )
    group.add_argument(
        "--bayer", metavar="PATTERN",
        help="the lights' mosaic from the top left, row by row (RGGB), or none, whatever their headers say",
    )  # fmt: skip
    group.add_argument(
        "--demosaic", choices=tuple(DEMOSAICS), default=DEMOSAIC,
        help=f"how a mosaic becomes colour (default {DEMOSAIC}): "
        + "; ".join(f"{name}: {each.summary}" for name, each in DEMOSAICS.items())
        + "; --drizzle needs none",
    )  # fmt: skip
    group.add_argument(
        "--interpolation", choices=("lanczos-4", "lanczos-3", "bicubic"),
        help="how pixels are resampled (default: lanczos-4 for mono, bicubic for demosaiced frames)",
    )  # fmt: skip
    group.add_argument("--drizzle", type=float, metavar="X", help="a grid finer by 1 to 3, of dithered subs")
    group.add_argument(
        "--comet", action="append", default=[], metavar="X,Y@FILE",
        help="the comet's middle in a light, in two or more (pixels from 0, the first row stored is 0), "
        "or auto: a stack on the comet, one of the stars, and both together",
    )  # fmt: skip
    group.add_argument("--pixfrac", type=float, default=0.7, metavar="P", help="side of a drop (default 0.7)")


def _subs(stack: argparse.ArgumentParser) -> None:
    group = stack.add_argument_group("which subs")
    group.add_argument(
        "--without", type=Path, action="append", default=[], metavar="FILE", help="leave it out; may repeat"
    )
    group.add_argument("--max-fwhm", type=float, metavar="PX", help="leave out what is wider")
    group.add_argument("--max-sigma", type=float, metavar="S", help="leave out what is so far off the night")
    group.add_argument("--keep-all", action="store_true", help="leave out nothing that can be aligned")


def run(arguments: argparse.Namespace) -> int:
    """Stack; 130 when interrupted, which loses nothing."""
    if not arguments.lights and not arguments.watch:
        _find_lights_behind(arguments)
    if bool(arguments.lights) == bool(arguments.watch):
        warn("firstlight: name lights, or a folder to --watch")
        return EXIT_USAGE
    from firstlight.stack_files import stack_files
    from firstlight.stack_job import StackInterruptedError
    from firstlight.stack_watching import Until, watch_folder
    from library.memory import give_back_large_blocks
    from tui.stack_lines import JsonLines, Lines

    give_back_large_blocks()
    job = _job(arguments)
    face = JsonLines(sys.stdout) if arguments.json else Lines(sys.stderr)
    try:
        with _interrupts(face.note) as stop:
            if arguments.watch:
                until = Until(stacked=arguments.until, idle_s=arguments.idle)
                report = watch_folder(arguments.watch, job, face.tell, stop, until=until)
            else:
                report = stack_files(arguments.lights, job, face.tell, stop)
    except StackInterruptedError as error:
        face.wipe()
        warn(f"firstlight: {error}; the same command goes on")
        return EXIT_INTERRUPTED
    finally:
        face.wipe()
    face.end(report)
    return 0


def _find_lights_behind(arguments: argparse.Namespace) -> None:
    """Lights that were named last, after an option that takes any number of files."""
    from firstlight.given_frames import lights_behind

    for given in (arguments.dark, arguments.flat, arguments.bias):
        for named in given:
            if lights := lights_behind(named):
                del named[-len(lights) :]
                arguments.lights += lights


def _job(arguments: argparse.Namespace) -> StackJob:
    from firstlight.stack_calibration import Wanted
    from firstlight.stack_job import StackJob, rules

    darks, flats, biases = (
        [path for named in each for path in named]
        for each in (arguments.dark, arguments.flat, arguments.bias)
    )
    wanted = Wanted(
        darks=darks,
        flats=flats,
        biases=biases,
        defects=arguments.defects,
        library=arguments.library,
        optimise_dark=arguments.optimise_dark,
        uncalibrated_flats=arguments.uncalibrated_flats,
        as_given=arguments.as_given,
    )
    judged = rules(max_fwhm_px=arguments.max_fwhm, max_sigma=arguments.max_sigma, keep_all=arguments.keep_all)
    return StackJob(
        output=arguments.output,
        wanted=wanted,
        preview=arguments.preview,
        report=arguments.report,
        reference=arguments.reference,
        method=arguments.method,
        drizzle=arguments.drizzle,
        pixfrac=arguments.pixfrac,
        palette=arguments.palette,
        comet=tuple(arguments.comet),
        bayer=arguments.bayer,
        demosaic=arguments.demosaic,
        interpolation=arguments.interpolation,
        rules=judged,
        without=tuple(arguments.without),
        fresh=arguments.fresh,
        keep=arguments.keep,
    )


@contextmanager
def _interrupts(note: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """While the ``with`` lasts, Ctrl-C (or SIGTERM) asks for an end after the sub in hand.

    A second one ends at once, and what was stacked since the last checkpoint is stacked again next time.
    """
    asked = threading.Event()

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt
        asked.set()
        note("stopping after the sub in hand; once more stops at once")

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
