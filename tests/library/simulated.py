"""Calibration frames of simulated sensors in a library: their truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.cards import Card
from library.frames import FrameKind, Stamp
from library.store import Library
from library.writing import encode_image
from simulators.profiles import profile
from simulators.sensor import Readout, Sensor

Image = NDArray[np.uint16]


@dataclass
class Rig:
    """A camera of a known profile, its sensor cut to a small size, that fills a library."""

    name: str
    shape: tuple[int, int] = (256, 320)
    seed: int = 3
    gain: float = 100.0
    offset: float = 50.0
    temp_c: float = -10.0
    changes: dict[str, Any] = field(default_factory=dict)
    night: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)
    alter: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    egain: bool = True

    def __post_init__(self) -> None:
        height, width = self.shape
        whole = profile(self.name)
        rays = whole.cosmic_rays_per_s * width * height / (whole.width * whole.height)
        known = {"width": width, "height": height, "cosmic_rays_per_s": rays} | self.changes
        self.profile = replace(whole, **known)
        self.sensor = Sensor(self.profile, self.seed)
        self._taken = 0

    @property
    def readout(self) -> Readout:
        return Readout(
            gain=self.gain, offset=self.offset, x=0, y=0, width=self.shape[1], height=self.shape[0]
        )

    @property
    def adu_per_e(self) -> float:
        return float(2**self.profile.shift / self.profile.e_per_adu(self.gain))

    def frame(self, exposure_s: float, light_e: float | NDArray[np.float32] | None = None) -> Image:
        self._taken += 1
        rng = np.random.default_rng([self.seed, self._taken, self.night.toordinal()])
        light = None
        if light_e is not None:
            light = np.broadcast_to(np.asarray(light_e, np.float32), self.shape)
        hits, _ = self.sensor.cosmic_rays(rng, exposure_s)
        image = self.sensor.read(rng, light, exposure_s, self.temp_c, self.readout, hits, threads=1)
        if self.alter is not None:
            image = np.clip(np.rint(self.alter(image.astype(np.float64))), 0, 65535).astype(np.uint16)
        return image

    def shoot(
        self,
        library: Library,
        kind: FrameKind,
        count: int,
        exposure_s: float = 0.0,
        light_e: float | NDArray[np.float32] | None = None,
    ) -> None:
        for _ in range(count):
            pixels = self.frame(exposure_s, light_e)
            date = self.night + timedelta(minutes=self._taken)
            cards: list[Card] = [
                ("DATE-OBS", date.strftime("%Y-%m-%dT%H:%M:%S.000"), ""),
                ("CCD-TEMP", self.temp_c, ""),
                ("XBINNING", 1, ""),
                ("YBINNING", 1, ""),
            ]
            if self.profile.bayer:
                cards.append(("BAYERPAT", self.profile.bayer, ""))
            if self.egain:
                cards.append(("EGAIN", 1 / self.adu_per_e, ""))
            stamp = Stamp(
                frame_id=f"{kind.value}-{self.night:%Y%m%d}-{exposure_s:g}-{self.temp_c:g}-{self._taken:04}",
                kind=kind,
                plan_id="calibration",
                step_id="1",
                exposure_s=exposure_s,
                camera=self.name,
                set_temp_c=self.temp_c,
                sensor_temp_c=self.temp_c,
                gain=self.gain,
                offset=self.offset,
                filter="L" if kind is FrameKind.FLAT else None,
            )
            library.add(b"".join(encode_image(pixels, cards)), stamp)
