"""What must agree between a frame and its master, how far it may differ, and how that is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from library.coverage import Value
from library.frames import FrameKind, FrameMeta
from library.mosaics import RGB
from library.tolerances import Tolerances

Range = tuple[float, float]
DAY_S = 86400.0
_DARKS = frozenset({FrameKind.DARK, FrameKind.FLAT_DARK, FrameKind.DARK_MODEL})
_FLATS = frozenset({FrameKind.FLAT})
_MASTERS = frozenset(FrameKind) - {FrameKind.LIGHT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A hard key: it is equal, or the master is ruled out. Text is compared regardless of case."""

    name: str
    label: str
    value: Callable[[FrameMeta], Value]
    kinds: frozenset[FrameKind] = _MASTERS


def _bias_in(meta: FrameMeta) -> Value:
    """Whether a frame still has its bias: without it, it needs a dark without it."""
    return "taken off" if set("BD") & set(meta.calibrated) else "in it"


def _size(meta: FrameMeta) -> str:
    return f"{meta.width}×{meta.height}" + ("×3" if meta.bayer_pattern == RGB else "")


SIZE, ORIGIN, BAYER, ROWS = "size", "origin", "bayer_pattern", "row_order"
_PEDESTALS = _DARKS | {FrameKind.BIAS}

SETTINGS = (
    Setting(name="camera", label="camera", value=lambda meta: meta.camera.strip() or None),
    Setting(name=SIZE, label="size", value=_size),
    # A frame that names no origin starts at the sensor's first pixel, as SBFITSEXT has it.
    Setting(name=ORIGIN, label="origin", value=lambda meta: "{}, {}".format(*(meta.origin or (0, 0)))),
    Setting(name="binning", label="binning", value=lambda meta: "{}×{}".format(*meta.binning)),
    Setting(name="gain", label="gain", value=lambda meta: meta.gain),
    Setting(name="offset", label="offset", value=lambda meta: meta.offset),
    Setting(name="read_mode", label="read mode", value=lambda meta: meta.read_mode),
    Setting(name=BAYER, label="Bayer pattern", value=lambda meta: meta.bayer_pattern),
    Setting(name=ROWS, label="row order", value=lambda meta: meta.row_order),
    # A header that names no unit means what the camera counts.
    Setting(name="unit", label="unit", value=lambda meta: meta.unit or "adu", kinds=_PEDESTALS),
    Setting(name="bias", label="bias", value=_bias_in, kinds=_DARKS),
    Setting(name="filter", label="filter", value=lambda meta: meta.filter, kinds=_FLATS),
    Setting(name="telescope", label="telescope", value=lambda meta: meta.telescope, kinds=_FLATS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A field with a tolerance. ``same_within`` is what its readings scatter by anyway."""

    name: str
    label: str
    span: Callable[[FrameMeta], Range | None]
    unit: str
    tolerance: Callable[[Tolerances, FrameKind, float], float]
    digits: str = "g"
    same_within: float = 0.0
    same_fraction: float = 0.0
    kinds: frozenset[FrameKind] = _MASTERS
    told_only: frozenset[FrameKind] = frozenset()
    """Kinds that it does not rule out, however far it is."""

    def show(self, value: float) -> str:
        """A value with its unit."""
        return f"{value:{self.digits}}{self.unit}"


def _temperature_tolerance(tolerances: Tolerances, kind: FrameKind, _wanted: float) -> float:
    return tolerances.model_temp_c if kind is FrameKind.DARK_MODEL else tolerances.temp_c


def _exposure_tolerance(tolerances: Tolerances, kind: FrameKind, wanted: float) -> float:
    if kind is FrameKind.DARK_MODEL:
        return tolerances.model_exposure_fraction * wanted
    return max(tolerances.exposure_s, tolerances.exposure_fraction * wanted)


def _most_days(tolerances: Tolerances, kind: FrameKind, _wanted: float) -> float:
    if kind is FrameKind.FLAT:
        return tolerances.flat_days
    return tolerances.bias_days if kind is FrameKind.BIAS else tolerances.dark_days


def _days(meta: FrameMeta) -> float | None:
    return None if meta.date_obs is None else meta.date_obs.timestamp() / DAY_S


def temperature_c(meta: FrameMeta) -> float | None:
    """The sensor's own temperature, or else what it was set to."""
    return meta.set_temp_c if meta.sensor_temp_c is None else meta.sensor_temp_c


def _point(value: float | None) -> Range | None:
    return None if value is None else (value, value)


def _temperatures(meta: FrameMeta) -> Range | None:
    return meta.temp_range_c if meta.kind is FrameKind.DARK_MODEL else _point(temperature_c(meta))


def _exposures(meta: FrameMeta) -> Range | None:
    return meta.exposure_range_s if meta.kind is FrameKind.DARK_MODEL else _point(meta.exposure_s)


TEMPERATURE, EXPOSURE, ROTATOR, DATE = "sensor_temp_c", "exposure_s", "rotator_deg", "date_obs"

QUANTITIES = (
    Quantity(
        name=TEMPERATURE,
        label="temperature",
        span=_temperatures,
        unit=" °C",
        digits=".1f",
        tolerance=_temperature_tolerance,
        same_within=0.3,
        kinds=_MASTERS - _FLATS,
        told_only=frozenset({FrameKind.BIAS, FrameKind.DEFECTS}),
    ),
    Quantity(
        name=EXPOSURE,
        label="exposure",
        span=_exposures,
        unit=" s",
        tolerance=_exposure_tolerance,
        same_within=0.001,
        same_fraction=0.001,
        kinds=_DARKS,
    ),
    Quantity(
        name="focal_length_mm",
        label="focal length",
        span=lambda meta: _point(meta.focal_length_mm),
        unit=" mm",
        tolerance=lambda tolerances, _kind, wanted: tolerances.focal_length_fraction * wanted,
        same_fraction=0.002,
        kinds=_FLATS,
    ),
    Quantity(
        name=ROTATOR,
        label="rotator",
        span=lambda meta: _point(meta.rotator_deg),
        unit="°",
        digits=".1f",
        tolerance=lambda tolerances, _kind, _wanted: tolerances.rotator_deg,
        same_within=0.2,
        kinds=_FLATS,
    ),
    Quantity(
        name=DATE,
        label="age",
        span=lambda meta: _point(_days(meta)),
        unit=" days",
        digits=".0f",
        tolerance=_most_days,
        same_within=float("inf"),
    ),
)


def settings_of(kind: FrameKind) -> tuple[Setting, ...]:
    """The hard keys of a kind of master."""
    return tuple(setting for setting in SETTINGS if kind in setting.kinds)


def quantities_of(kind: FrameKind) -> tuple[Quantity, ...]:
    """The fields with tolerances of a kind of master."""
    return tuple(quantity for quantity in QUANTITIES if kind in quantity.kinds)
