"""The dark model of each camera in the library: built from its biases and darks, asked for any dark.

See docs/library/dark-model.md for the formulas and the priors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from library.cards import Card
from library.dark_model_file import (
    DarkModel,
    encode_extension,
    encode_model,
    read_model,
)
from library.dark_model_fit import camera_law, fit_pixels
from library.dark_model_frames import Set, check_enough, grouped, in_order, model_key, survey
from library.dark_model_law import (
    DOUBLING_C,
    DOUBLING_ERROR_C,
    LawFit,
)
from library.dark_model_synthesis import Synthetic, synthesise
from library.errors import DiskFullError, LibraryError
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.headers import SOFTWARE
from library.keywords import FRAME_ID, row_order_cards
from library.naming import master_path
from library.places import free_path, identity, rows_in_identity
from library.writing import Buffer, encode_image, write_durably

if TYPE_CHECKING:
    from library.store import Library

RECIPE = "bias + rate(T) t, 2"
"""What is done to the frames; a model made another way is built anew."""


def build_dark_models(
    library: Library, *, on_refused: Callable[[str], None] = lambda _reason: None
) -> list[FrameRecord]:
    """Build every dark model that is missing or has other frames now, and return those that were built.

    One for each set of equal camera, geometry, binning, gain, offset and read mode. Why one cannot be
    built is told to ``on_refused``. The same frames give the same bytes, and a second call builds nothing.
    Raises :class:`DiskFullError`.
    """
    built = []
    for group in grouped(library.find()):
        try:
            record = _build(library, check_enough(group))
        except DiskFullError:
            raise
        except LibraryError as error:
            on_refused(str(error))
            continue
        if record is not None:
            built.append(record)
    return built


def fit_model(records: Sequence[FrameRecord], model_id: str) -> list[Buffer]:
    """Fit the frames of one group, and give the model's file. The order of the records does not matter."""
    frames = survey(sorted(records, key=in_order))
    fit = camera_law(frames)
    planes, law = fit_pixels(frames, fit)
    return encode_model(planes, law, frames.noise, fit.glow_error_adu, _cards(frames, fit, model_id))


def synthesise_dark(model_path: Path, exposure_s: float, temp_c: float, folder: Path) -> Path:
    """A master dark of that exposure and temperature (to 0.1 °C) as a FITS file in ``folder``; made once.

    Raises :class:`LibraryError` for a file that is no dark model, :class:`DiskFullError`.
    """
    temp_c = round(temp_c, 1)
    model = read_model(model_path)
    mark = (model.meta.frame_id or "")[-8:]
    meta = model.meta
    x, y = meta.binning
    path = folder / f"DARK_{exposure_s:g}s_T{temp_c:g}C_bin{x if x == y else f'{x}x{y}'}_{mark}.fits"
    if not path.is_file():
        write_dark(path, model, synthesise(model, exposure_s, temp_c))
    return path


def write_dark(path: Path, model: DarkModel, dark: Synthetic) -> None:
    """Write a synthetic dark durably: the dark, and its uncertainty as the extension UNCERT."""
    meta = model.meta
    known: list[Card] = [
        ("EXTEND", True, "extensions follow"),
        ("IMAGETYP", "Master Dark", "kind of frame"),
        ("NCOMBINE", meta.n_combined, "frames that the model was fitted to"),
        ("COMBMETH", "dark model", "how it was made"),
        ("EXPTIME", dark.exposure_s, "[s] exposure"),
        ("CCD-TEMP", dark.temp_c, "[degC] sensor temperature"),
        *_camera_cards(meta),
        ("NOISEADU", round(dark.noise_adu, 4), "[adu] its own noise in a typical pixel"),
        ("MODELID", meta.frame_id, "dark model that it is from"),
        ("DBLTEMP", model.law.doubling_c, "[degC] the dark rate doubles in this step"),
        ("DBLERR", model.law.doubling_error_c, "[degC] error of DBLTEMP"),
        ("SWCREATE", SOFTWARE, "software that made this master"),
        *(("HISTORY", f" outside: {text.replace(' °', ' deg')}", "") for text in dark.outside),
        *(("HISTORY", f" note: {text}", "") for text in model.notes),
    ]
    buffers = encode_image(dark.pixels, [card for card in known if card[1] is not None])
    uncertainty = encode_extension("UNCERT", dark.uncertainty, [("BUNIT", "adu", "1 sigma")])
    write_durably(path, [*buffers, *uncertainty])


def _build(library: Library, records: list[FrameRecord]) -> FrameRecord | None:
    parts = [RECIPE, *sorted(record.sha256 for record in records), *rows_in_identity(records[0].meta)]
    model_id = f"darkmodel-{identity(parts)}"
    if library.get(model_id):
        return None
    buffers = fit_model(records, model_id)
    return library.put_master(_free_path(library, records[0].meta), buffers)


def _free_path(library: Library, meta: FrameMeta) -> PurePosixPath:
    """The model's name; one that another model has for other settings gets a mark."""
    path = master_path(replace(meta, kind=FrameKind.DARK_MODEL), None)
    key = model_key(meta)
    return free_path(library, path, key, lambda taken: model_key(taken.meta) == key)


def _camera_cards(meta: FrameMeta) -> list[Card]:
    return [
        ("INSTRUME", meta.camera or None, "camera"),
        ("GAIN", meta.gain, "camera gain setting"),
        ("OFFSET", meta.offset, "camera offset setting"),
        ("EGAIN", meta.egain_e_per_adu, "[electron/adu]"),
        ("READOUTM", meta.read_mode, "read mode"),
        ("XBINNING", meta.binning[0], "binning in width"),
        ("YBINNING", meta.binning[1], "binning in height"),
        ("XORGSUBF", meta.origin[0] if meta.origin else None, "first column on the sensor"),
        ("YORGSUBF", meta.origin[1] if meta.origin else None, "first row on the sensor"),
        *row_order_cards(meta.row_order, meta.bayer_pattern, meta.height),
        (
            "DATE-OBS",
            meta.date_obs.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] if meta.date_obs else None,
            "UTC of the newest frame",
        ),
    ]


def _cards(frames: Set, fit: LawFit, model_id: str) -> list[Card]:
    metas = [record.meta for record in frames.records]
    shots = frames.shots
    times, temps = shots.exposure_s[shots.exposed], shots.temp_c[shots.exposed]
    egains = [meta.egain_e_per_adu for meta in metas if meta.egain_e_per_adu]
    newest = max((meta.date_obs for meta in metas if meta.date_obs), default=None)
    camera = replace(metas[0], date_obs=newest, egain_e_per_adu=median(egains) if egains else None)
    shortest = 0.0 if not shots.exposed.all() else float(times.min())
    cards: list[Card] = [
        ("IMAGETYP", "Dark Model", "kind of frame"),
        ("NCOMBINE", int(shots.frames.sum()), "frames that it was fitted to"),
        *_camera_cards(camera),
        ("TEMPMIN", float(temps.min()), "[degC] coldest dark"),
        ("TEMPMAX", float(temps.max()), "[degC] warmest dark"),
        ("EXPMIN", shortest, "[s] shortest exposure, 0 with biases"),
        ("EXPMAX", float(times.max()), "[s] longest exposure"),
        (FRAME_ID, model_id, "identity of this model"),
        ("SWCREATE", SOFTWARE, "software that made this model"),
        ("HISTORY", f" {RECIPE}", ""),
        *(("HISTORY", f" note: {text}", "") for text in _notes(frames, fit)),
    ]
    return [card for card in cards if card[1] is not None]


def _notes(frames: Set, fit: LawFit) -> list[str]:
    """What a user should know of how well the model can be: at most 60 characters each."""
    shots, notes = frames.shots, []
    times = np.unique(np.round(shots.exposure_s[shots.exposed], 3))
    if fit.law.is_prior:
        notes.append("too few temperatures to tell the doubling step:")
        notes.append(f"{DOUBLING_C:g} +- {DOUBLING_ERROR_C:g} degC is believed beforehand (a prior)")
    if shots.exposed.all():
        notes.append("there are no biases: the pedestal is extrapolated")
    if len(times) == 1:
        notes.append(f"one exposure only ({times[0]:g} s): linearity is assumed")
    if len(shots.exposure_s) < 10:
        notes.append(f"of {len(shots.exposure_s)} frames: particles' hits may be left in it")
    if frames.noise.gain_from == "assumed":
        notes.append("electrons per ADU are not known: 1 is assumed")
    return notes
