"""SNR of colour stacks, ours over Siril's, of the same raw subs: faint stars, and surface brightness.

    python -m benchmarks.colour_snr FOLDER... [--simulated] [--ours fine rcd] [--siril rcd]

A folder holds the raw subs of one target, plain or packed FITS. Above 1 ours is better; the uncertainty is
that of a bootstrap over blocks of the frame. Siril registers by its defaults and stacks with winsorized
rejection. Its "bilinear" is RawTherapee's fast method, which mixes channels, and no plain bilinear.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from benchmarks.colour_ruler import Array, Halved, measured, ratios
from library.reading import read_frame
from library.writing import write_image
from livestack.demosaics import DEFAULT, METHODS, Demosaic
from livestack.engine import LiveStack, Settings, Sub
from livestack.events import SubAccepted

SIRIL_METHODS = {"bilinear": 0, "vng": 1, "ahd": 2, "amaze": 3, "rcd": 8}
"""Siril 1.0.6's numbers for its demosaicing methods; RCD is its default."""

_CONFIG = """debayer-settings :
{{
  use_bayer_header = true;
  bayer_pattern = 0;
  roworder_top_down = true;
  debayer_algo = {};
  x_bayer_offset = 0;
  y_bayer_offset = 0;
}};
"""


def ours(lights: list[Path], demosaic: Demosaic = DEFAULT) -> Halved:
    """Live stacks of all and of every other sub, on the geometry of the first."""

    def stacked(some: list[Path]) -> tuple[Array, NDArray[np.bool_]]:
        live = LiveStack(Settings(demosaic=demosaic))
        assert live.refer_to(_sub(lights[0])) is None
        for path in some:
            event = live.add(_sub(path))
            assert isinstance(event, SubAccepted), event
        image = live.snapshot("colour")
        return image.pixels.astype(np.float64), np.asarray(image.coverage == len(some))

    full, seen = stacked(lights)
    return Halved(full, stacked(lights[0::2])[0], stacked(lights[1::2])[0], seen)


def _sub(path: Path) -> Sub:
    frame = read_frame(path)
    return Sub(frame_id=path.name, pixels=frame.pixels, meta=replace(frame.meta, filter="colour"))


def siril(lights: list[Path], method: str = "rcd") -> Halved:
    """``register`` and ``stack rej w 3 3 -norm=addscale`` with Siril's defaults; row 0 as stored."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "raw").mkdir()
        for number, path in enumerate(lights):
            frame = read_frame(path)
            cards = [("BAYERPAT", frame.meta.bayer_pattern, ""), ("ROWORDER", "TOP-DOWN", "")]
            write_image(folder / "raw" / f"light_{number:05}.fits", frame.pixels, cards)
        (folder / "siril.config").write_text(_CONFIG.format(SIRIL_METHODS[method]))
        _run(folder, f"cd {folder}/raw", "convert light -out=..", "cd ..", "preprocess light -debayer")
        _run(folder, "register pp_light", "stack r_pp_light rej w 3 3 -norm=addscale -out=full")
        registered = sorted(folder.glob("r_pp_light_*.fit*"))
        assert len(registered) == len(lights), registered
        first, second = (_half(folder, registered[start::2], f"half{start}") for start in (0, 1))
        # Demosaicing clips at 0: a pixel without light in one channel alone has been seen.
        seen = np.all([(_picture(path) != 0).any(axis=2) for path in registered], axis=0)
        return Halved(_picture(next(folder.glob("full.fit*"))), first, second, seen)


def _half(folder: Path, registered: list[Path], name: str) -> Array:
    if len(registered) == 1:
        return _picture(registered[0])
    for number, path in enumerate(registered, 1):
        (folder / f"{name}_{number:05}{path.suffix}").write_bytes(path.read_bytes())
    _run(folder, f"stack {name}_ rej w 3 3 -norm=addscale -out=stack_{name}")
    return _picture(next(folder.glob(f"stack_{name}.fit*")))


def _run(folder: Path, *commands: str) -> None:
    script = folder / "script.ssf"
    script.write_text("\n".join(("requires 1.0.0", *commands)) + "\n")
    done = subprocess.run(
        ["siril-cli", "-i", str(folder / "siril.config"), "-d", str(folder), "-s", str(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def _picture(path: Path) -> Array:
    with fits.open(path) as opened:
        return np.moveaxis(np.asarray(opened[0].data, np.float64), 0, -1)


def simulated(folder: Path, subs: int = 6) -> list[Path]:
    """Raw subs of M27 by a simulated colour camera, 1536 by 1024 pixels, as files."""
    from simulators.camera import Camera
    from simulators.gallery.shots import take
    from simulators.profiles import ASI2600MC

    profile = replace(ASI2600MC, width=1536, height=1024)
    camera = Camera(1, profile=profile)
    cards: list[tuple[str, str | int | float | bool | None, str]]
    cards = [("IMAGETYP", "Light Frame", ""), ("EXPTIME", 60.0, ""), ("BAYERPAT", profile.bayer, "")]
    paths = []
    for number in range(1, subs + 1):
        path = folder / f"light_{number:05}.fits"
        write_image(path, take(camera, field="M27", number=number), cards)
        paths.append(path)
    return paths


def compare(name: str, lights: list[Path], mine: list[Demosaic], other: list[str]) -> None:
    """Print all ratios for one target."""
    stacks = {f"ours, {each}": ours(lights, each) for each in mine}
    stacks |= {f"Siril, {each}": siril(lights, each) for each in other}
    done = measured(stacks)
    print(f"{name}: {len(lights)} subs")
    for program, found in done.items():
        widths = " ".join(f"{width:.2f}" for width in found.fwhm_px)
        print(f"  {program:16} FWHM {widths} px, noise of R and G correlated by {found.correlation:.2f}")
    for one in mine:
        for two in other:
            for kind in ("stars", "surface", "nebula")[: 3 if len(lights) > 3 else 2]:  # noise of few places
                pair = (getattr(done[program], kind) for program in (f"ours, {one}", f"Siril, {two}"))
                row = "  ".join(f"{part} {value:.3f} ± {sigma:.3f}" for part, value, sigma in ratios(*pair))
                print(f"  {one} / {two}, {kind:8} {row}", flush=True)


def main() -> None:
    """Compare what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--simulated", action="store_true", help="simulated subs of M27, too")
    parser.add_argument("--ours", nargs="+", default=[DEFAULT, "rcd"], choices=list(METHODS))
    parser.add_argument("--siril", nargs="+", default=["rcd"], choices=list(SIRIL_METHODS))
    arguments = parser.parse_args()
    for folder in arguments.folders:
        compare(folder.name, sorted(folder.iterdir()), arguments.ours, arguments.siril)
    if arguments.simulated:
        with tempfile.TemporaryDirectory() as name:
            compare("simulated M27", simulated(Path(name)), arguments.ours, arguments.siril)


if __name__ == "__main__":
    main()
