"""Each effect of the optics, on and exaggerated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from simulators.camera import Camera
from simulators.flat import FlatField
from simulators.focus import FocusState
from simulators.gallery.page import Picture, bytes_of, chart, in_row, linear, night, smaller, stretch
from simulators.gallery.shots import SEED, SMALL, take
from simulators.night import Night
from simulators.optics import TELESCOPES, Telescope
from simulators.psf import profile
from simulators.render import PointSources, StarShape, render


def pictures() -> Iterator[Picture]:
    """In the order of the light's way."""
    yield _seeing()
    yield from _focus()
    yield _v_curves()
    for title, caption, telescope in (
        (
            "Tilt",
            "300 µm/mm (17°, exaggerated): the left is out of focus on one side, the right on the other.",
            Telescope(tilt_um_per_mm=(300.0, 0.0)),
        ),
        (
            "Field curvature",
            "A surface of 3 mm radius (exaggerated): sharp in the middle alone.",
            Telescope(curvature_mm=3.0),
        ),
    ):
        frame = take(Camera(SEED, telescope, SMALL), field="M44", exposure_s=120.0)
        yield Picture(title, caption, night(frame))
    yield _distortion()
    yield from _flats()


def _star(
    telescope: Telescope, defocus_steps: float, size: int = 121
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    focuser, zero = telescope.focuser, np.zeros(1)
    state = FocusState(position_steps=focuser.best_steps + defocus_steps, tube_c=focuser.best_at_c)
    star = PointSources(
        zero + size // 2, zero + size // 2, zero + 1e6, telescope.blur_px(zero, zero, 3.76, state, "L")
    )
    shape = StarShape(fwhm_px=telescope.fwhm_px(3.76), obstruction=telescope.obstruction)
    return render(size, size, star, shape)


def _seeing() -> Picture:
    minutes = np.linspace(0.0, 120.0, 600)
    lines = [
        (
            f"night {seed}",
            np.array([Telescope().fwhm_px(3.76, Night(seed).seeing(60.0 * m)) for m in minutes]),
        )
        for seed in (1, 2, 3)
    ]
    return Picture(
        "Seeing that drifts", "Star width on three nights.", chart(minutes, lines, "minutes", "FWHM, pixels")
    )


def _focus() -> Iterator[Picture]:
    for name, steps in (("APO72", 1000.0), ("NEWTON200", 400.0), ("C8", 400.0)):
        telescope = TELESCOPES[name]
        stars = [_star(telescope, share * steps, 75) for share in (-1.0, -0.5, 0.0, 0.5, 1.0)]
        yield Picture(
            f"Focus: {telescope.name}",
            f"A star {steps:.0f} and {steps / 2:.0f} steps inside focus, in it, and outside; central "
            f"obstruction {telescope.obstruction:.0%}. Each in its own stretch.",
            in_row(*(stretch(star, 3.0, 0.0, 100.0) for star in stars)),
        )
    camera = Camera(SEED, TELESCOPES["NEWTON200"], SMALL)
    focus = FocusState(position_steps=18_300.0, tube_c=12.0)
    frame = take(camera, field="M44", exposure_s=60.0, focus=focus)
    yield Picture("A field out of focus", "Newton 200/800, 300 steps outside focus.", night(frame))


def _v_curves() -> Picture:
    lines = []
    offset = np.linspace(-400.0, 400.0, 41)
    for name, telescope in TELESCOPES.items():
        lines.append((name, np.array([_half_flux_px(telescope, s) for s in offset])))
    return Picture(
        "V-curves",
        "Half-flux diameter against the focuser's steps. The C8's slopes are those of a real one.",
        chart(offset, lines, "steps from focus", "HFD, pixels"),
    )


def _half_flux_px(telescope: Telescope, defocus_steps: float) -> float:
    focuser, zero = telescope.focuser, np.zeros(1)
    state = FocusState(position_steps=focuser.best_steps + defocus_steps, tube_c=focuser.best_at_c)
    blur = float(telescope.blur_px(zero, zero, 3.76, state, "L")[0])
    r = np.linspace(0.0, 90.0, 1500)
    light = np.cumsum(r * profile(r, telescope.fwhm_px(3.76), blur, telescope.obstruction))
    return float(2.0 * np.interp(0.5 * light[-1], light, r))


def _distortion() -> Picture:
    telescope = replace(TELESCOPES["NEWTON200"], distortion_per_mm2=-2.5e-4)
    x, y = np.meshgrid(np.arange(20.0, 620.0, 29.0), np.arange(15.0, 400.0, 29.0))
    u, v = (x - 310).ravel(), (y - 207).ravel()
    planes = []
    for a, b in ((u, v), telescope.distort(u, v, 60.0)):
        stars = PointSources(a + 310, b + 207, np.full(len(a), 1e4), np.zeros(len(a)))
        planes.append(np.clip(render(620, 414, stars, StarShape(fwhm_px=3.0)) / 300.0, 0.0, 1.0))
    return Picture(
        "Radial distortion",
        "A grid as a pinhole sees it (red) and as the lens draws it (cyan): a barrel of 12 % at the corner, "
        "exaggerated sixty times.",
        bytes_of(np.stack([planes[0], planes[1], planes[1]], axis=-1)),
    )


def _flats() -> Iterator[Picture]:
    telescope = replace(TELESCOPES["NEWTON200"], vignetting_decentre=0.3)
    size = (930, 620)

    def flat(filter_name: str, rotator_deg: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        field = FlatField(telescope, *size, 3.76, filter_name, rotator_deg, SEED)
        return linear(smaller(field.rows(slice(0, size[1])), 310), 0.45, 1.0)

    yield Picture(
        "Vignetting and dust per filter",
        "L, B and Hα: the window's dust stays, the filter's own differs, narrow filters vignette more.",
        in_row(flat("L", 0.0), flat("B", 0.0), flat("Ha", 0.0)),
    )
    yield Picture(
        "Vignetting and dust per rotator angle",
        "0°, 90° and 180°: the tube's axis (30 % off, exaggerated) turns, the camera's dust does not.",
        in_row(flat("L", 0.0), flat("L", 90.0), flat("L", 180.0)),
    )
    dusty = FlatField(replace(telescope, vignetting=0.0), *size, 3.76, "L", 0.0, SEED).rows(slice(0, size[1]))
    yield Picture("Dust alone", "Stretched to 12 %.", linear(dusty, 0.88, 1.0))
