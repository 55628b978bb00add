"""A small camera whose dark signal is known: bias, rates that double, hot pixels with laws of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.cards import Card
from library.frames import FrameKind
from library.store import Library
from tests.library.frames import fits_bytes, stamp

Floats = NDArray[np.float64]


@dataclass
class DarkCamera:
    """``hot_places`` leak 5 ADU/s at −10 °C and double every ``hot_doubling_c``; EGAIN is 1."""

    shape: tuple[int, int] = (128, 160)
    doubling_c: float = 5.5
    hot_doubling_c: float = 7.0
    read_adu: float = 5.0
    jitter_adu: float = 0.0
    cards: tuple[Card, ...] = (("INSTRUME", "Cam", ""), ("EGAIN", 1.0, ""))
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(4))

    def __post_init__(self) -> None:
        own = np.random.default_rng(3)
        self.bias = 500 + own.normal(0, 3, self.shape)
        self.rate = 0.2 * np.exp(own.normal(0, 0.3, self.shape))
        self.hot_places = own.choice(self.rate.size, 60, replace=False)

    def truth(self, exposure_s: float, temp_c: float) -> Floats:
        """What a great many frames average to."""
        dark = self.rate * 2 ** ((temp_c + 10) / self.doubling_c)
        dark.ravel()[self.hot_places] = 5.0 * 2 ** ((temp_c + 10) / self.hot_doubling_c)
        return np.asarray(self.bias + exposure_s * dark)

    def frame(self, exposure_s: float, temp_c: float) -> NDArray[np.uint16]:
        signal = self.truth(exposure_s, temp_c) - self.bias
        counted = self.bias + self.rng.poisson(signal) + self.rng.normal(0, self.read_adu, self.shape)
        return np.clip(np.rint(counted + self.rng.normal(0, self.jitter_adu)), 0, 65535).astype(np.uint16)

    def fill(
        self,
        library: Library,
        temps_c: tuple[float, ...],
        times_s: tuple[float, ...],
        n: int = 4,
        **more: Any,
    ) -> None:
        """Shoot ``n`` frames of each; an exposure of 0 is a bias."""
        for temp_c in temps_c:
            for exposure_s in times_s:
                for number in range(n):
                    self.shoot(library, exposure_s, temp_c, f"{temp_c:g}-{exposure_s:g}-{number}", **more)

    def shoot(
        self,
        library: Library,
        exposure_s: float,
        temp_c: float | None,
        frame_id: str,
        pixels: NDArray[np.uint16] | None = None,
        **more: Any,
    ) -> None:
        kind = FrameKind.DARK if exposure_s else FrameKind.BIAS
        if pixels is None:
            pixels = self.frame(exposure_s, -10.0 if temp_c is None else temp_c)
        values = {"gain": None, "offset": None, "read_mode": None, "filter": None} | more
        library.add(
            fits_bytes(pixels, self.cards),
            stamp(
                frame_id,
                kind=kind,
                exposure_s=exposure_s,
                sensor_temp_c=temp_c,
                set_temp_c=None,
                camera="Cam",
                **values,
            ),
        )
