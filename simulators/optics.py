"""The telescope and its filters: scale, collected light, what bends and blurs the field, focus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from simulators.focus import Focuser, FocusState

Floats = NDArray[np.float64]

ARCSEC_PER_RADIAN = 206264.806


@dataclass(frozen=True, slots=True, kw_only=True)
class Passband:
    """A filter: what share of the unfiltered light it lets through, and of what colour.

    ``colour_term`` k: a star's light in it goes as 10^(−0.4·k·(BP−RP − 0.8)). ``panel_e_s`` is what the
    flat panel, dimmed to suit the filter, gives a pixel at the field's centre.
    """

    share: float
    colour_term: float
    sky_share: float
    panel_e_s: float


PASSBANDS = {
    "L": Passband(share=1.0, colour_term=0.0, sky_share=1.0, panel_e_s=7400.0),
    "R": Passband(share=0.32, colour_term=-0.45, sky_share=0.34, panel_e_s=6600.0),
    "G": Passband(share=0.36, colour_term=0.12, sky_share=0.36, panel_e_s=7000.0),
    "B": Passband(share=0.30, colour_term=0.80, sky_share=0.27, panel_e_s=6300.0),
    "Ha": Passband(share=0.022, colour_term=-0.6, sky_share=0.02, panel_e_s=6000.0),
    "OIII": Passband(share=0.021, colour_term=0.3, sky_share=0.018, panel_e_s=6000.0),
    "SII": Passband(share=0.022, colour_term=-0.65, sky_share=0.02, panel_e_s=6000.0),
}
CLEAR = PASSBANDS["L"]
"""What a filter of another name, or no filter, does."""


REFRACTOR_FOCUSER = Focuser(
    filter_steps=MappingProxyType({"R": 12.0, "G": -6.0, "B": 24.0, "Ha": 18.0, "OIII": 9.0, "SII": 20.0})
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telescope:
    """A telescope with its focuser; by default a small flattened refractor.

    Lengths in the focal plane are measured from the sensor's middle, which is on the optical axis.

    ``zero_point_mag``: the G magnitude that gives one electron a second in L. A star of magnitude 0 sends
    about 3·10⁶ photons/s/cm² between 400 and 700 nm; 41 cm² of aperture and 60 % of optics and sensor leave
    7·10⁷ e⁻/s.
    ``star_fwhm_um``: a star's width in focus on a night's average: seeing, guiding and optics together.
    """

    name: str = "APO 72/336"
    aperture_mm: float = 72.0
    focal_mm: float = 336.0
    obstruction: float = 0.0
    """Diameter of the central obstruction as a share of the aperture's."""

    zero_point_mag: float = 19.65
    sky_mag_arcsec2: float = 20.0
    star_fwhm_um: float = 10.9
    vignetting: float = 0.22
    """What is missing at the sensor's corners, whatever its size: the filters are chosen to suit it."""

    filter_vignetting: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Filters that vignette more or less: factors to ``vignetting``."""

    vignetting_decentre: float = 0.0
    """How far the tube's axis lies from the sensor's middle, as a share of the half diagonal; it turns with
    the rotator."""

    distortion_per_mm2: float = 1.5e-6
    tilt_um_per_mm: tuple[float, float] = (0.0, 0.0)
    """How much further back the sensor lies per millimetre in x and in y; 1 µm/mm is 3.4′."""

    curvature_mm: float = np.inf
    """Radius of the surface on which the stars are sharp, hollow towards the sky."""

    focuser: Focuser = REFRACTOR_FOCUSER

    @property
    def f_ratio(self) -> float:
        """Focal length by aperture."""
        return self.focal_mm / self.aperture_mm

    def scale_arcsec_px(self, pixel_um: float) -> float:
        """Arcseconds that one pixel sees."""
        return ARCSEC_PER_RADIAN * pixel_um / 1000.0 / self.focal_mm

    def sky_e_s_px(self, band: Passband, pixel_um: float) -> float:
        """Electrons a second that the sky's background gives one pixel."""
        mag = self.sky_mag_arcsec2 - 2.5 * np.log10(self.scale_arcsec_px(pixel_um) ** 2)
        return float(band.sky_share * 10 ** (0.4 * (self.zero_point_mag - mag)))

    def fwhm_px(self, pixel_um: float, seeing: float = 1.0) -> float:
        """A star's width in focus; ``seeing`` is relative to the average."""
        return self.star_fwhm_um / pixel_um * seeing

    def distort(self, u_px: Floats, v_px: Floats, pixel_um: float) -> tuple[Floats, Floats]:
        """Where the lens puts what a pinhole puts at (u, v) pixels from the sensor's middle.

        r' = r·(1 + k·r²), r in millimetres: third-order (Seidel) distortion, a cushion where k > 0.
        """
        r2_mm2 = (u_px**2 + v_px**2) * (pixel_um / 1000.0) ** 2
        factor = 1.0 + self.distortion_per_mm2 * r2_mm2
        return u_px * factor, v_px * factor

    def undistort(self, u_px: Floats, v_px: Floats, pixel_um: float) -> tuple[Floats, Floats]:
        """Inverse of :meth:`distort`, by Newton's method; for fields where the lens does not fold."""
        r = np.hypot(u_px, v_px) * (pixel_um / 1000.0)
        k, ideal = self.distortion_per_mm2, r
        for _ in range(4):
            ideal = ideal - (ideal + k * ideal**3 - r) / (1.0 + 3.0 * k * ideal**2)
        factor = np.divide(ideal, r, out=np.ones_like(r), where=r > 0)
        return u_px * factor, v_px * factor

    def blur_px(
        self, u_px: Floats, v_px: Floats, pixel_um: float, focus: FocusState | None, filter_name: str
    ) -> Floats:
        """Radius of the pupil's image at places from the sensor's middle; no focus state is good focus.

        A sensor dz behind the focus cuts a cone of dz/N diameter. The field's own surface lies r²/2R in
        front of the sensor, the tilt adds a plane.
        """
        mm = pixel_um / 1000.0
        middle_um = self.focuser.defocus_um(focus, filter_name) if focus is not None else 0.0
        tilt_x, tilt_y = self.tilt_um_per_mm
        dz_um = middle_um + (tilt_x * u_px + tilt_y * v_px) * mm
        dz_um = dz_um + (u_px**2 + v_px**2) * mm**2 * 1000.0 / (2.0 * self.curvature_mm)
        return np.asarray(np.abs(dz_um) / (2.0 * self.f_ratio) / pixel_um)


TELESCOPES = {
    "APO72": Telescope(),
    "NEWTON200": Telescope(
        name="Newton 200/800 with corrector",
        aperture_mm=200.0,
        focal_mm=800.0,
        obstruction=0.35,
        zero_point_mag=21.7,
        star_fwhm_um=10.5,
        vignetting=0.3,
        vignetting_decentre=0.1,
        filter_vignetting=MappingProxyType({"Ha": 1.3, "OIII": 1.3, "SII": 1.3}),
        distortion_per_mm2=-4e-6,
        curvature_mm=4000.0,
        focuser=Focuser(best_steps=18_000, um_per_step=1.2, drift_steps_per_c=-20.0),
    ),
    "C8": Telescope(
        name="SCT 203/1400 with reducer",
        aperture_mm=203.2,
        focal_mm=1400.0,
        obstruction=0.34,
        zero_point_mag=21.6,
        star_fwhm_um=18.0,
        vignetting=0.35,
        vignetting_decentre=0.05,
        distortion_per_mm2=8e-6,
        curvature_mm=900.0,
        focuser=Focuser(
            travel_steps=16_000,
            best_steps=7983.0,
            best_at_c=20.0,
            um_per_step=2.475,
            drift_steps_per_c=-9.0,
            asymmetry=0.052,
        ),
    ),
}
"""By the names that the command line knows. The C8 gives back the V-curve of real frames of one."""
