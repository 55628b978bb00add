"""What a library's frames tell of a light's camera, for advice; nothing is assumed."""

from __future__ import annotations

from firstlight.sensor_figures import measure_figures
from library.errors import LibraryError
from library.fitness import temperature_c
from library.frames import FrameMeta
from library.store import Library
from livestack.noise_budget import Camera

_SETTING = ("camera", "gain", "offset", "read_mode", "binning", "width", "height")


def setting_of(light: FrameMeta) -> tuple[object, ...]:
    """Frames that are alike in this have the same figures."""
    return tuple(getattr(light, name) for name in _SETTING)


def known_camera(library: Library, light: FrameMeta) -> Camera:
    """Measure its biases, flats and darks; what they don't tell is None."""
    alike = [each for each in library.find(camera=light.camera) if setting_of(each.meta) == setting_of(light)]
    try:
        figures = measure_figures(alike, temperature_c(light))
    except (LibraryError, OSError):  # a file is gone: advice can do without, a night cannot wait for it
        return Camera()
    gain = figures.e_per_adu
    if gain.assumed:
        return Camera()
    noise, dark = figures.read_noise_adu, figures.dark_adu_s
    return Camera(
        e_per_adu=gain.value,
        read_noise_e=None if noise.assumed else noise.value * gain.value,
        dark_e_s=None if dark.assumed else dark.value * gain.value,
    )
