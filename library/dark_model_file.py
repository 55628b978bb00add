"""A dark model as a FITS file: the bias plane first, all else in extensions that any reader shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.cards import Card, CardValue, format_card, format_header, padded, walk
from library.dark_model_frames import Noise
from library.dark_model_law import Floats, Law
from library.decoding import stored_dtype
from library.errors import LibraryError, NotAFitsFileError
from library.frames import FrameKind, FrameMeta
from library.reading import open_image, read_meta
from library.writing import Buffer

PLANES = ("BIAS", "RATE", "VARBIAS", "COVAR", "VARRATE")
"""Bias (ADU), rate at REFTEMP (ADU/s), and their variances and covariance."""

SLOPE_DTYPE = np.dtype(
    [("PIXEL", ">i4"), ("SLOPE", ">f4"), ("VARIANCE", ">f4"), ("BIASCOV", ">f4"), ("RATECOV", ">f4")]
)
"""Pixels with a doubling temperature of their own: by how much κ differs, and its covariances."""

_FORMATS = {"i": "J", "f": "E"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planes:
    """A fitted model's arrays, big-endian as they are stored, so that writing copies nothing."""

    images: Mapping[str, NDArray[Any]]
    flags: NDArray[np.uint8]
    slopes: NDArray[Any]
    glow_adu: Floats | None
    """On blocks, (block rows, block columns)."""


@dataclass(frozen=True, slots=True)
class _Where:
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DarkModel:
    """A model on disk; rows of its planes are read when they are asked for."""

    path: Path
    meta: FrameMeta
    law: Law
    noise: Noise
    glow_error_adu: float
    notes: tuple[str, ...]
    header: Mapping[str, CardValue]
    units: Mapping[str, _Where]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.meta.height, self.meta.width

    def rows(self, name: str, rows: slice) -> NDArray[Any]:
        """Some rows of a plane."""
        where = self.units[name]
        height, *rest = where.shape
        top, bottom, _ = rows.indices(height)
        across = int(np.prod(rest, dtype=np.int64))
        with self.path.open("rb") as file:
            file.seek(where.start + top * across * where.dtype.itemsize)
            values = np.fromfile(file, where.dtype, (bottom - top) * across)
        if len(values) < (bottom - top) * across:
            raise NotAFitsFileError(
                f"{self.path}: is cut short; build it again: firstlight library masters build"
            )
        return values.reshape(bottom - top, *rest)

    def frame_noise_adu(self, exposure_s: float, temp_c: float) -> float:
        """A sub's own read and shot noise (1 σ) where the dark current is typical."""
        height = self.shape[0]
        rate = float(np.median(self.rows("RATE", slice(height // 2, height // 2 + max(1, height // 20)))))
        signal = max(rate * exposure_s * float(self.law.growth(temp_c)), 0.0)
        return float(np.sqrt(self.noise.read_adu**2 + self.noise.adu_per_e * signal))

    def whole(self, name: str) -> NDArray[Any]:
        """All of a plane or table."""
        return self.rows(name, slice(None))


def encode_model(
    planes: Planes, law: Law, noise: Noise, glow_error: float, cards: list[Card]
) -> list[Buffer]:
    """The file's bytes; ``cards`` describe the camera, the law's are added here."""
    law_cards: list[Card] = [
        ("BUNIT", "adu", "bias at REFTEMP"),
        ("EXTNAME", "BIAS", "bias at REFTEMP"),
        ("REFTEMP", law.reference_c, "[degC] temperature of BIAS and RATE"),
        ("DBLTEMP", law.doubling_c, "[degC] the dark rate doubles in this step"),
        ("DBLERR", law.doubling_error_c, "[degC] error of DBLTEMP"),
        ("DBLPRIOR", law.is_prior, "DBLTEMP rests on the prior rather than on frames"),
        ("KAPPA", law.slope, "[1/degC] d ln rate / dT at REFTEMP"),
        ("KAPPAERR", law.slope_error, "error of KAPPA"),
        ("KAPPASPR", law.slope_spread, "share by which pixels differ in KAPPA"),
        ("CURVAT", law.curvature, "[1/degC2] d2 ln rate / dT2"),
        ("CURVERR", law.curvature_error, "error of CURVAT"),
        ("DRIFT", law.drift_adu_per_c, "[adu/degC] drift of the bias"),
        ("EXPSTEP", law.exposed_adu, "[adu] an exposed frame lies above a bias"),
        ("JITTER", law.jitter_adu, "[adu] scatter of the frames' levels"),
        ("GLOWEXP", law.glow_exponent, "amp glow grows with this power of time"),
        ("GLOWREF", law.glow_reference_s if law.glow_exponent else None, "[s] exposure of the map GLOW"),
        ("GLOWERR", glow_error if law.glow_exponent else None, "[adu] error of a block of GLOW"),
        ("RDNOISE", noise.read_adu, "[adu] read noise of a sub"),
        ("ADUPERE", noise.adu_per_e, "[adu/electron]"),
        ("GAINFROM", noise.gain_from, "ADUPERE is from header, frames or assumed"),
        ("SATURADU", noise.saturation_adu, "[adu] samples above were not used"),
    ]
    known = [card for card in law_cards if card[1] is not None]
    split = next((n for n, card in enumerate(cards) if card[0] == "HISTORY"), len(cards))
    buffers: list[Buffer] = _primary(planes.images["BIAS"], [*cards[:split], *known, *cards[split:]])
    for name, unit in zip(PLANES[1:], ("adu/s", "adu2", "adu2/s", "adu2/s2"), strict=True):
        buffers += encode_extension(name, planes.images[name], [("BUNIT", unit, "")])
    flags = "1 unsteady, 2 own doubling, 4 clips"
    buffers += encode_extension("FLAGS", planes.flags, [("BUNIT", "bits", flags)])
    buffers += encode_extension("LEVELCOV", law.level_covariance.astype(">f8"), [])
    if planes.glow_adu is not None:
        buffers += encode_extension("GLOW", planes.glow_adu.astype(">f4"), [("BUNIT", "adu", "on blocks")])
    if len(planes.slopes):
        buffers += _encode_table("SLOPES", planes.slopes)
    return buffers


def encode_extension(name: str, values: NDArray[Any], cards: list[Card]) -> list[Buffer]:
    """An IMAGE extension; big-endian values are passed on without a copy.

    It gets a third axis of one: Siril 1.0 opens no file with two images of the same two axes.
    """
    values = values[None]
    bitpix = values.dtype.itemsize * (-8 if values.dtype.kind == "f" else 8)
    return _unit(
        [
            ("XTENSION", "IMAGE", "image extension"),
            ("BITPIX", bitpix, "array data type"),
            ("NAXIS", values.ndim, "number of array dimensions"),
            *((f"NAXIS{n + 1}", size, "") for n, size in enumerate(reversed(values.shape))),
            ("PCOUNT", 0, "number of parameters"),
            ("GCOUNT", 1, "number of groups"),
            ("EXTNAME", name, "extension name"),
            *cards,
        ],
        values,
    )


def read_model(path: Path) -> DarkModel:
    """Open a dark model; raises :class:`NotAFitsFileError`, or :class:`LibraryError` if it is none."""
    meta = read_meta(path)
    if meta.kind is not FrameKind.DARK_MODEL:
        raise LibraryError(f"{path}: is a {meta.kind.value}, no dark model")
    units: dict[str, _Where] = {}
    with open_image(path) as (stream, first):
        header = first.values
        stream.seek(0)
        for unit in walk(stream):
            name = str(unit.values.get("EXTNAME", "BIAS"))
            axes = tuple(unit.integer(f"NAXIS{n}") for n in range(min(unit.integer("NAXIS"), 2), 0, -1))
            table = unit.values.get("XTENSION") == "BINTABLE"
            dtype = SLOPE_DTYPE if table else stored_dtype(unit)
            units[name] = _Where(unit.data_start, axes[:1] if table else axes, dtype)
        notes = tuple(
            raw[8:].decode("ascii", "replace").strip().removeprefix("note: ")
            for raw in first.raw_cards
            if raw.startswith(b"HISTORY") and b"note: " in raw
        )
    missing = {*PLANES, "LEVELCOV", "FLAGS"} - units.keys()
    if missing:
        raise LibraryError(f"{path}: has no {', '.join(sorted(missing))}; build the dark model again")
    number = _numbers(path, header)
    exponent = header.get("GLOWEXP")
    bare = DarkModel(
        path=path,
        meta=meta,
        law=Law(reference_c=0.0, slope=1.0, slope_error=0.0),
        noise=Noise(
            read_adu=number["RDNOISE"],
            adu_per_e=number["ADUPERE"],
            gain_from=str(header.get("GAINFROM")),
            saturation_adu=number["SATURADU"],
        ),
        glow_error_adu=number.get("GLOWERR", 0.0),
        notes=notes,
        header=header,
        units=units,
    )
    law = Law(
        reference_c=number["REFTEMP"],
        slope=number["KAPPA"],
        slope_error=number["KAPPAERR"],
        slope_spread=number["KAPPASPR"],
        curvature=number["CURVAT"],
        curvature_error=number["CURVERR"],
        drift_adu_per_c=number["DRIFT"],
        exposed_adu=number["EXPSTEP"],
        jitter_adu=number["JITTER"],
        glow_exponent=None if exponent is None else number["GLOWEXP"],
        glow_reference_s=number.get("GLOWREF", 1.0),
        level_covariance=np.asarray(bare.whole("LEVELCOV"), np.float64),
    )
    return replace(bare, law=law)


def _numbers(path: Path, header: Mapping[str, CardValue]) -> dict[str, float]:
    wanted = ("REFTEMP", "KAPPA", "KAPPAERR", "KAPPASPR", "CURVAT", "CURVERR", "DRIFT", "EXPSTEP", "JITTER")
    found = {
        key: float(value)
        for key in (*wanted, "RDNOISE", "ADUPERE", "SATURADU", "GLOWEXP", "GLOWREF", "GLOWERR")
        if isinstance(value := header.get(key), int | float)
    }
    if absent := {*wanted, "RDNOISE", "ADUPERE", "SATURADU"} - found.keys():
        raise LibraryError(f"{path}: has no {', '.join(sorted(absent))}; build the dark model again")
    return found


def _primary(values: NDArray[Any], cards: list[Card]) -> list[Buffer]:
    structure: list[Card] = [
        ("SIMPLE", True, "conforms to FITS standard"),
        ("BITPIX", -32, "array data type"),
        ("NAXIS", 2, "number of array dimensions"),
        ("NAXIS1", values.shape[1], ""),
        ("NAXIS2", values.shape[0], ""),
        ("EXTEND", True, "extensions follow"),
    ]
    return _unit([*structure, *cards], values)


def _unit(cards: list[Card], values: NDArray[Any]) -> list[Buffer]:
    stored = values if values.dtype.byteorder in ">|" else values.astype(values.dtype.newbyteorder(">"))
    data = np.ascontiguousarray(stored).reshape(-1).view(np.uint8).data
    header = format_header(format_card(*card) for card in cards)
    return [header, data, bytes(padded(len(data)) - len(data))]


def _encode_table(name: str, table: NDArray[Any]) -> list[Buffer]:
    fields: Mapping[str, Any] = table.dtype.fields or {}
    columns: list[Card] = []
    for n, (column, (dtype, *_)) in enumerate(fields.items(), start=1):
        columns += [(f"TTYPE{n}", column, ""), (f"TFORM{n}", _FORMATS[dtype.kind], "")]
    return _unit(
        [
            ("XTENSION", "BINTABLE", "binary table extension"),
            ("BITPIX", 8, "array data type"),
            ("NAXIS", 2, "number of array dimensions"),
            ("NAXIS1", table.dtype.itemsize, "bytes of a row"),
            ("NAXIS2", len(table), "rows"),
            ("PCOUNT", 0, "number of parameters"),
            ("GCOUNT", 1, "number of groups"),
            ("TFIELDS", len(fields), "columns"),
            ("EXTNAME", name, "extension name"),
            *columns,
        ],
        table,
    )
