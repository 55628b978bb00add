"""The same real mono subs, stacked by us and by Siril's winsorized batch, measured by one ruler.

Noise alone would let a blurred picture win: it is compared at equal widths of the stars, and in means of 4×4
pixels, where no interpolation hides noise in its correlation. The ruler is neither's: the scatter of
neighbours' differences.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from library.reading import read_frame
from library.writing import write_image
from livestack.align import Transform, find_transform
from livestack.engine import LiveStack, Sub
from livestack.events import SubAccepted
from measure.stars import SIGMA_TO_FWHM, typical_fwhm_px
from tests.support.sep_stars import detect

pytestmark = [pytest.mark.slow, pytest.mark.siril, pytest.mark.realdata]

MAD_TO_SIGMA = 1.4826
Picture = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """Noise per pixel at the width of the wider stars, in means of 4×4, and the stars' own width."""

    noise: float
    coarse_noise: float
    fwhm_px: float


def ours(lights: list[Path]) -> tuple[Picture, NDArray[np.bool_]]:
    stack, name = LiveStack(), None
    for path in lights:
        frame = read_frame(path)
        event = stack.add(Sub(frame_id=path.name, pixels=frame.pixels, meta=frame.meta))
        assert isinstance(event, SubAccepted), event
        name = event.filter
    image = stack.snapshot(name)
    return image.pixels.astype(np.float64), image.coverage == len(lights)


def theirs(lights: list[Path], folder: Path) -> Picture:
    """``register`` and ``stack rej w 3 3 -norm=addscale`` with Siril's defaults; row 0 as stored."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    for i, path in enumerate(lights):
        write_image(raw / f"light_{i:05}.fits", read_frame(path).pixels, [])
    script = folder / "stack.ssf"
    script.write_text(
        f"requires 1.0.0\ncd {raw}\nconvert light -out=..\ncd ..\nregister light\n"
        "stack r_light rej w 3 3 -norm=addscale -out=result\n"
    )
    done = subprocess.run(
        ["siril-cli", "-d", str(folder), "-s", str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    found = next(folder.glob("result.fit*"))
    with fits.open(found) as opened:
        return np.asarray(opened[0].data, np.float64)


def scatter(picture: Picture, good: NDArray[np.bool_], box: int) -> float:
    """Noise of means over boxes: neighbours' differences, two boxes apart, by their median."""
    height, width = (side // box * box for side in picture.shape)
    tiles = picture[:height, :width].reshape(height // box, box, width // box, box).mean(axis=(1, 3))
    boxes = good[:height, :width].reshape(height // box, box, width // box, box)
    whole = np.asarray(boxes.all(axis=(1, 3)), np.bool_)
    across = (tiles[:, 2:] - tiles[:, :-2])[whole[:, 2:] & whole[:, :-2]]
    down = (tiles[2:] - tiles[:-2])[whole[2:] & whole[:-2]]
    both = np.concatenate((across, down))
    return float(MAD_TO_SIGMA * np.median(np.abs(both - np.median(both))) / np.sqrt(2))


def compared(lights: list[Path], folder: Path) -> tuple[Figures, Figures]:
    """Our figures and theirs over the pixels that every sub has seen, at the brightness of the same stars.

    Both make two stacks that share the first sub, their reference, and no other: the difference holds noise
    and neither faint stars nor nebula. The sharper is blurred to the width of the other's stars.
    """
    halves = [lights[:1] + lights[first::2] for first in (1, 2)]
    mine, seen = zip(*(ours(half) for half in halves), strict=True)
    other = [theirs(half, folder / str(i)) for i, half in enumerate(halves)]
    assert {each.shape for each in other} == {mine[0].shape}
    good = np.all([*seen, *(each > 0 for each in other)], axis=0)
    here, there = (detect((each[0] / np.median(each[0][good])).astype(np.float32)) for each in (mine, other))
    same = find_transform(there, here)
    assert isinstance(same, Transform)
    assert same.matrix == pytest.approx(np.eye(3), abs=0.1)  # both took the first sub for the reference
    i, j = same.pairs[np.argsort(-here.flux[same.pairs[:, 1]])][:100].T
    brighter = float(np.median(there.flux[i] / here.flux[j]))
    adu = np.median(mine[0][good]) / np.median(other[0][good]) / brighter
    widths = typical_fwhm_px(here), typical_fwhm_px(there)
    differences = (mine[0] - mine[1]) / 2, adu * (other[0] - other[1]) / 2
    one, two = (
        Figures(
            noise=scatter(_blurred(difference, width, max(widths)), good, 1),
            coarse_noise=scatter(difference, good, 4),
            fwhm_px=width,
        )
        for difference, width in zip(differences, widths, strict=True)
    )
    return one, two


def _blurred(picture: Picture, width: float, wanted: float) -> Picture:
    """Widen stars by a kernel of three pixels each way whose variance is exact, however narrow it is."""
    beside = 0.5 * max(wanted**2 - width**2, 0.0) / SIGMA_TO_FWHM**2
    assert beside < 0.25
    kernel = np.array([beside, 1 - 2 * beside, beside])
    return np.asarray(cv2.sepFilter2D(picture, -1, kernel, kernel))


def test_no_more_noise_than_in_sirils_winsorized_stack(realdata: Path, tmp_path: Path) -> None:
    mine, other = compared(sorted((realdata / "mono_hatp32").iterdir()), tmp_path)
    assert mine.noise <= 1.02 * other.noise, (mine, other)  # 2 %: what 0.5 % of a star's width makes
    assert mine.coarse_noise <= other.coarse_noise, (mine, other)
    assert mine.fwhm_px <= 1.1 * other.fwhm_px, (mine, other)
