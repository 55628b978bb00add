"""What a frame is: its kind, what describes it, and its row in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path


class FrameKind(StrEnum):
    """What was exposed, or derived; a master is the same kind with more than one frame in it."""

    LIGHT = "light"
    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"
    FLAT_DARK = "flat_dark"
    DEFECTS = "defects"
    """A map of the sensor's defective pixels; always derived, see :mod:`library.defects`."""

    DARK_MODEL = "dark_model"
    """Bias and dark rate per pixel over temperature; always derived, see :mod:`library.dark_model`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameMeta:
    """What describes a frame, read from its header; ``None`` is "not known", never a default.

    Sizes are of the stored array: ``width`` is NAXIS1, ``height`` is NAXIS2; or of the picture within it,
    where there is an overscan beside it (see :mod:`library.sections`).
    """

    kind: FrameKind
    width: int
    height: int
    camera: str = ""
    exposure_s: float | None = None
    sensor_temp_c: float | None = None
    set_temp_c: float | None = None
    gain: float | None = None
    offset: float | None = None
    binning: tuple[int, int] = (1, 1)
    origin: tuple[int, int] | None = None
    """XORGSUBF, YORGSUBF: the picture's first column and row on the sensor, in binned pixels."""

    filter: str | None = None
    bayer_pattern: str | None = None
    """The mosaic at row 0, column 0, or ``RGB`` for three planes (see :mod:`library.mosaics`)."""

    read_mode: str | None = None
    object_name: str | None = None
    telescope: str | None = None
    focal_length_mm: float | None = None
    rotator_deg: float | None = None
    date_obs: datetime | None = None
    frame_id: str | None = None
    plan_id: str | None = None
    step_id: str | None = None
    n_combined: int = 1
    """NCOMBINE: how many frames are in it; more than one makes it a master."""

    egain_e_per_adu: float | None = None
    method: str | None = None
    """COMBMETH: how a master was combined."""

    noise_adu: float | None = None
    """NOISEADU: a master's own random noise in one pixel (1 σ), fixed pattern left out."""

    spread_adu: float | None = None
    """SPRDADU: robust spread (1.4826 MAD) of a master's pixels, fixed pattern and noise together."""

    temp_range_c: tuple[float, float] | None = None
    """TEMPMIN, TEMPMAX: the sensor temperatures that a dark model was fitted to."""

    exposure_range_s: tuple[float, float] | None = None
    """EXPMIN, EXPMAX: the exposures that a dark model was fitted to."""

    row_order: str | None = None
    """ROWORDER: ``TOP-DOWN`` if the first stored row is the picture's top, ``BOTTOM-UP`` if its bottom."""

    unit: str | None = None
    """BUNIT: ``adu``, ``electron``, or what else it says."""

    calibrated: str = ""
    """CALSTAT and its like: letters of BDF, for the bias, dark and flat that were applied already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRecord:
    """One durable frame: a row of the catalogue and the file it stands for."""

    id: int
    path: Path
    sha256: str
    size_bytes: int
    meta: FrameMeta
    retired_at: datetime | None = None
    """When it was retired: kept, told of, and never used; ``None`` while it is live."""

    retired_because: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What the runner knows of a frame and INDI leaves out of its header.

    ``None`` leaves the device's own value where there is one.
    """

    frame_id: str
    kind: FrameKind
    plan_id: str
    step_id: str
    exposure_s: float
    camera: str
    set_temp_c: float | None = None
    sensor_temp_c: float | None = None
    gain: float | None = None
    offset: float | None = None
    read_mode: str | None = None
    filter: str | None = None
    object_name: str | None = None
