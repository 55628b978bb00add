"""``library masters build``: masters, defect maps and dark models out of the library's own frames."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from tui.library.options import at_least_one, json_option, library_option, opened
from tui.terminal import overwrite, say

if TYPE_CHECKING:
    from library.frames import FrameRecord
    from library.masters import Built
    from tui.library.parser import Add

_KINDS = ("bias", "dark", "flat_dark", "flat", "defects", "dark_model")


def register(add: Add) -> None:
    """Add the command to the parser."""
    masters = add("masters", help="masters out of the frames")
    below = masters.add_subparsers(dest="masters_command", metavar="COMMAND", required=True)
    command = below.add_parser("build", help="build those that are missing or whose frames have changed")
    command.add_argument("--kind", choices=_KINDS, help="of this kind only")
    command.add_argument(
        "--method",
        help="average, median, sigma_clip, winsorized, percentile or linear_fit, with parameters if need be: "
        "sigma_clip:low=3,high=3,centre=median,spread=mad,rounds=5,floor=on (default: [masters] method in "
        "library.toml, else average of one or two frames and sigma_clip of more); rebuilds what was made "
        "another way",
    )
    command.add_argument(
        "--min-frames",
        type=at_least_one,
        default=1,
        metavar="N",
        help="no master of fewer frames (default: 1)",
    )
    command.add_argument(
        "--uncalibrated-flats",
        action="store_true",
        help="build flats that have neither flat-darks nor biases (they correct vignetting wrongly)",
    )
    command.add_argument(
        "--memory",
        type=at_least_one,
        default=512,
        metavar="MB",
        help="what combining may take (default: 512)",
    )
    library_option(command)
    json_option(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Build, and tell what was built and what was not; 1 if something was refused."""
    from library.dark_model import build_dark_models
    from library.defects import build_defect_maps
    from library.frames import FrameKind
    from library.master_header import IMAGE_TYPES
    from library.masters import build_masters
    from library.methods import Method

    kind = None if arguments.kind is None else FrameKind(arguments.kind)
    method = None if arguments.method is None else Method.parse(arguments.method)
    report = _Report(as_json=arguments.json)
    with opened(arguments) as library:
        build_masters(
            library,
            kinds=[each for each in IMAGE_TYPES if kind in {None, each}],
            method=method,
            min_frames=arguments.min_frames,
            allow_uncalibrated_flats=arguments.uncalibrated_flats,
            memory_bytes=arguments.memory * 1_000_000,
            on_refused=report.refused,
            on_left_out=report.left_out,
            on_begin=report.begin,
            on_built=report.built,
        )
        if kind in {None, FrameKind.DEFECTS}:
            report.begin("defect maps")
            for record in build_defect_maps(library, on_refused=report.refused):
                report.derived(record)
        if kind in {None, FrameKind.DARK_MODEL}:
            report.begin("dark models")
            for record in build_dark_models(library, on_refused=report.refused):
                report.derived(record)
        is_empty = not library.find(master=False)
    report.end(is_empty=is_empty)
    return 1 if report.refusals else 0


class _Report:
    """Lines for people, or JSON; what is being built is shown on a terminal and wiped away again."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._live = sys.stderr.isatty() and not as_json
        self._built = 0
        self.refusals = 0

    def begin(self, what: str) -> None:
        if self._live:
            overwrite(f"{what} …")

    def built(self, built: Built) -> None:
        meta = built.record.meta
        self._built += 1
        if self._as_json:
            extra = {"left_out": built.left_out, "seconds": round(built.seconds, 3)}
            self._print(json.dumps({"event": "built", **_facts(built.record), **extra}))
            return
        unit = "of its level" if meta.kind == "flat" else "ADU"
        noise = "unknown, of one frame" if meta.noise_adu is None else f"{meta.noise_adu:.3g} {unit}"
        left_out = f", {built.left_out} left out" if built.left_out else ""
        self._print(
            f"built  {built.record.path.name}  of {meta.n_combined} by {meta.method}{left_out}, "
            f"noise {noise}, {built.seconds:.1f} s"
        )

    def derived(self, record: FrameRecord) -> None:
        self._built += 1
        if self._as_json:
            self._print(json.dumps({"event": "built", **_facts(record)}))
        else:
            self._print(f"built  {record.path.name}  of {record.meta.n_combined}")

    def left_out(self, reason: str) -> None:
        self._tell("left_out", reason)

    def refused(self, reason: str) -> None:
        self.refusals += 1
        self._tell("refused", reason)

    def end(self, *, is_empty: bool) -> None:
        if self._live:
            overwrite()
        if not self._as_json and not self._built and not self.refusals:
            why = "the library has no frames" if is_empty else "every group of frames has its master"
            say(f"nothing to build: {why}")

    def _tell(self, event: str, reason: str) -> None:
        self._print(
            json.dumps({"event": event, "reason": reason})
            if self._as_json
            else f"{event.replace('_', ' ')}  {reason}"
        )

    def _print(self, line: str) -> None:
        if self._live:
            overwrite()
        say(line)


def _facts(record: FrameRecord) -> dict[str, Any]:
    meta = record.meta
    return {
        "kind": meta.kind.value,
        "path": str(record.path),
        "n_combined": meta.n_combined,
        "method": meta.method,
        "noise_adu": meta.noise_adu,
    }
