"""``library dark``: a dark of any exposure and temperature, from the camera's dark model."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.library.options import json_option, library_option, opened
from tui.terminal import say, say_lines

if TYPE_CHECKING:
    from library.dark_model_file import DarkModel
    from library.dark_model_synthesis import Synthetic
    from library.frames import FrameMeta, FrameRecord
    from tui.library.parser import Add


def register(add: Add) -> None:
    """Add the command to the parser."""
    command = add("dark", help="make a dark of any exposure and temperature from the dark model")
    command.add_argument("--exposure", type=float, required=True, metavar="S", help="seconds")
    command.add_argument("--temp", type=float, required=True, metavar="C", help="sensor temperature, °C")
    command.add_argument("--camera", metavar="NAME", help="its name, or a part of it that fits one only")
    command.add_argument("--gain", type=float, metavar="G", help="gain setting")
    command.add_argument("--offset", type=float, metavar="O", help="offset setting")
    command.add_argument("--binning", metavar="B", help="1, 2, 2x1 …")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.fits", help="the dark")
    library_option(command)
    json_option(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Bring the models up to date, choose one, write the dark, and say how good it is."""
    from library.errors import LibraryError

    if not 0 < arguments.exposure <= 86_400:
        raise LibraryError(f"--exposure {arguments.exposure:g}: give seconds, more than 0")
    if not -150 <= arguments.temp <= 100:
        raise LibraryError(f"--temp {arguments.temp:g}: give the sensor's temperature in degrees Celsius")
    binning = None if arguments.binning is None else _binning(arguments.binning)

    from firstlight.file_suffixes import check_suffixes
    from library.dark_model import build_dark_models, write_dark
    from library.dark_model_file import read_model
    from library.dark_model_synthesis import synthesise
    from library.frames import FrameKind

    check_suffixes(arguments.output, has_preview=False)
    refused: list[str] = []
    with opened(arguments) as library:
        build_dark_models(library, on_refused=refused.append)
        models = library.find(kind=FrameKind.DARK_MODEL)
    if not models:
        raise LibraryError("; ".join(refused) or "there are no biases and darks in the library; shoot some")
    model = read_model(_chosen(models, arguments, binning).path)
    dark = synthesise(model, arguments.exposure, arguments.temp)
    write_dark(arguments.output.absolute(), model, dark)
    if arguments.json:
        say(json.dumps(_facts(model, dark, arguments.output)))
    else:
        say_lines(_lines(model, dark, arguments.output))
    return 0


def _binning(text: str) -> tuple[int, int]:
    from library.errors import LibraryError

    if match := re.fullmatch(r"([1-9]\d?)(?:[x×]([1-9]\d?))?", text):
        return int(match[1]), int(match[2] or match[1])
    raise LibraryError(f"--binning {text!r}: give 1, 2, 2x1 …")


def _chosen(
    models: Sequence[FrameRecord], arguments: argparse.Namespace, binning: tuple[int, int] | None
) -> FrameRecord:
    """The one model that the options can mean."""
    from library.errors import LibraryError

    camera = arguments.camera
    fitting = [
        record
        for record in models
        if (camera is None or camera.lower() in record.meta.camera.lower())
        and (arguments.gain is None or record.meta.gain == arguments.gain)
        and (arguments.offset is None or record.meta.offset == arguments.offset)
        and (binning is None or record.meta.binning == binning)
    ]
    exact = [record for record in fitting if record.meta.camera == camera]
    fitting = exact or fitting
    if len(fitting) == 1:
        return fitting[0]
    listed = "; ".join(_settings(record.meta) for record in fitting or models)
    if fitting:
        raise LibraryError(f"{len(fitting)} dark models fit; say which with --camera, --gain …: {listed}")
    raise LibraryError(f"no dark model fits these options; there are: {listed}")


def _settings(meta: FrameMeta) -> str:
    x, y = meta.binning
    known = [
        meta.camera or "unnamed camera",
        f"{meta.width}×{meta.height}",
        f"at {meta.origin[0]},{meta.origin[1]}" if meta.origin and any(meta.origin) else None,
        None if meta.gain is None else f"gain {meta.gain:g}",
        None if meta.offset is None else f"offset {meta.offset:g}",
        f"binning {x}×{y}",
        meta.read_mode,
    ]
    return ", ".join(part for part in known if part)


def _facts(model: DarkModel, dark: Synthetic, output: Path) -> dict[str, Any]:
    law, meta = model.law, model.meta
    return {
        "path": str(output),
        "model": str(model.path),
        "camera": meta.camera,
        "exposure_s": dark.exposure_s,
        "temp_c": dark.temp_c,
        "coverage": "outside" if dark.outside else "inside",
        "outside": list(dark.outside),
        "temp_range_c": list(meta.temp_range_c or ()),
        "exposure_range_s": list(meta.exposure_range_s or ()),
        "noise_adu": dark.noise_adu,
        "frame_noise_adu": model.frame_noise_adu(dark.exposure_s, dark.temp_c),
        "doubling_c": law.doubling_c,
        "doubling_error_c": law.doubling_error_c,
        "doubling_is_prior": law.is_prior,
        "frames": meta.n_combined,
        "notes": list(model.notes),
    }


def _lines(model: DarkModel, dark: Synthetic, output: Path) -> list[str]:
    law, meta = model.law, model.meta
    temps, times = meta.temp_range_c or (0.0, 0.0), meta.exposure_range_s or (0.0, 0.0)
    fitted = f"{meta.n_combined} frames, {temps[0]:.1f} to {temps[1]:.1f} °C, {times[0]:g} to {times[1]:g} s"
    own = model.frame_noise_adu(dark.exposure_s, dark.temp_c)
    said = "mostly a prior: too few temperatures" if law.is_prior else "from the frames"
    return [
        f"{output}: {dark.exposure_s:g} s at {dark.temp_c:g} °C, {_settings(meta)}",
        f"  from   {model.path}",
        f"         fitted to {fitted}",
        *(f"  OUTSIDE of what was shot: {text}" for text in dark.outside),
        *(["  inside of what was shot"] if not dark.outside else []),
        f"  noise  {dark.noise_adu:.2f} ADU in a typical pixel; a sub's own is {own:.2f} ADU",
        f"  dark current doubles every {law.doubling_c:.2f} ± {law.doubling_error_c:.2f} °C ({said})",
        *([f"  amp glow grows as t^{law.glow_exponent:.2f}"] if law.glow_exponent else []),
        *(f"  note   {note}" for note in model.notes),
    ]
