"""Which calibration fits a frame, and why: hard keys, stated tolerances, and reasons in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from library.frames import FrameKind, FrameMeta, FrameRecord
from library.store import Library

NEAR_MISSES_TOLD = 5
_T = TypeVar("_T")


class Verdict(StrEnum):
    """How well a frame is covered."""

    EXACT = "exact"
    """Every key is known and equal, tolerances are kept."""

    ACCEPTABLE = "acceptable"
    """It fits, with something to say; the reasons say it."""

    INCOMPATIBLE = "incompatible"
    """There are masters of that kind, and none fits."""

    MISSING = "missing"
    """There is no master of that kind."""

    NOT_NEEDED = "not_needed"
    """Using one would be wrong or pointless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """How far a dark may be from the frame it is for. Exposures may differ by the larger of the two."""

    temp_c: float = 1.0
    exposure_s: float = 0.05
    exposure_fraction: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The master for one purpose, or ``None``, and why."""

    record: FrameRecord | None
    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What to calibrate one frame with. A bias is never offered beside a dark: the dark contains it."""

    dark: Match
    bias: Match
    flat: Match
    flat_dark: Match


DEFAULT_TOLERANCES = Tolerances()


def match(
    source: Library | Iterable[FrameRecord],
    frame: FrameMeta,
    *,
    tolerances: Tolerances = DEFAULT_TOLERANCES,
) -> Calibration:
    """Find the calibration of a light, or of a flat (its flat-dark or bias), among a library's masters.

    Given records, all of them are candidates. Camera, size, binning, gain, offset, read mode and Bayer
    pattern must be the same; unknown on both sides counts as the same. Camera, gain and offset known on one
    side only do not match; read mode and Bayer pattern then do, and the reasons say so. Darks and
    flat-darks keep the tolerances, flats need the same filter. Of those that fit, the nearest in
    temperature wins, then in exposure, then the one of more frames, then the newer.
    """
    if isinstance(source, Library):
        source = source.find(master=True)
    by_kind: dict[FrameKind, list[FrameRecord]] = {kind: [] for kind in FrameKind}
    for record in source:
        by_kind[record.meta.kind].append(record)
    chooser = _Chooser(frame, by_kind, tolerances)
    if frame.kind is FrameKind.FLAT:
        flat_dark = chooser.choose(FrameKind.FLAT_DARK, FrameKind.DARK)
        return Calibration(
            dark=_not_needed("a flat has its flat-dark or bias"),
            bias=_bias_beside(flat_dark, chooser),
            flat=_not_needed("a flat is not flattened"),
            flat_dark=flat_dark,
        )
    dark = chooser.choose(FrameKind.DARK)
    return Calibration(
        dark=dark,
        bias=_bias_beside(dark, chooser),
        flat=chooser.choose(FrameKind.FLAT),
        flat_dark=_not_needed("it was taken off within the master flat"),
    )


def temperature_c(meta: FrameMeta) -> float | None:
    """The sensor's own temperature, or else what it was set to."""
    return meta.set_temp_c if meta.sensor_temp_c is None else meta.sensor_temp_c


def _bias_beside(dark: Match, chooser: _Chooser) -> Match:
    if dark.record is not None:
        return _not_needed("the matching dark contains the bias; it would be subtracted twice")
    return chooser.choose(FrameKind.BIAS)


def _not_needed(reason: str) -> Match:
    return Match(record=None, verdict=Verdict.NOT_NEEDED, reasons=(reason,))


@dataclass(frozen=True, slots=True)
class _Chooser:
    frame: FrameMeta
    by_kind: dict[FrameKind, list[FrameRecord]]
    tolerances: Tolerances

    def choose(self, *kinds: FrameKind) -> Match:
        """The best that fits, of the first kind that has one."""
        ruled_out: list[tuple[str, list[str]]] = []
        for kind in kinds:
            fitting = []
            for record in self.by_kind[kind]:
                against = self._against(record.meta)
                if against:
                    ruled_out.append((record.path.name, against))
                else:
                    fitting.append(record)
            if fitting:
                return self._chosen(min(fitting, key=self._rank))
        if not ruled_out:
            return Match(
                record=None,
                verdict=Verdict.MISSING,
                reasons=(f"there is no master {kinds[0].replace('_', '-')}",),
            )
        ruled_out.sort(key=lambda miss: (len(miss[1]), miss[0]))
        reasons = tuple(f"{name}: {'; '.join(against)}" for name, against in ruled_out[:NEAR_MISSES_TOLD])
        return Match(record=None, verdict=Verdict.INCOMPATIBLE, reasons=reasons)

    def _chosen(self, record: FrameRecord) -> Match:
        notes = self._notes(record.meta)
        frames = "1 frame" if record.meta.n_combined == 1 else f"{record.meta.n_combined} frames"
        return Match(
            record=record,
            verdict=Verdict.ACCEPTABLE if notes else Verdict.EXACT,
            reasons=(f"{record.path.name}: {frames}{self._distance(record.meta)}", *notes),
        )

    def _against(self, found: FrameMeta) -> list[str]:
        """What rules a candidate out."""
        wanted = self.frame
        against = [
            *_differs("camera", wanted.camera or None, found.camera or None, strict=True),
            *_differs("size", (wanted.width, wanted.height), (found.width, found.height), _times),
            *_differs("binning", wanted.binning, found.binning, _times),
            *_differs("gain", wanted.gain, found.gain, _general, strict=True),
            *_differs("offset", wanted.offset, found.offset, _general, strict=True),
            *_differs("read mode", wanted.read_mode, found.read_mode),
            *_differs("Bayer pattern", wanted.bayer_pattern, found.bayer_pattern),
        ]
        if found.kind is FrameKind.FLAT:
            against += _differs("filter", wanted.filter, found.filter, strict=True)
        if found.kind in {FrameKind.DARK, FrameKind.FLAT_DARK}:
            against += self._beyond_tolerance(found)
        return against

    def _beyond_tolerance(self, found: FrameMeta) -> list[str]:
        against = []
        wanted_c, found_c = temperature_c(self.frame), temperature_c(found)
        if wanted_c is None or found_c is None:
            against += _differs("temperature", wanted_c, found_c, _celsius, strict=True)
        elif abs(found_c - wanted_c) > self.tolerances.temp_c:
            allowed = f"{_celsius(wanted_c)} ± {self.tolerances.temp_c:g} °C"
            against.append(f"temperature {_celsius(found_c)}, wanted {allowed}")
        wanted_s, found_s = self.frame.exposure_s, found.exposure_s
        if wanted_s is None or found_s is None:
            against += _differs("exposure", wanted_s, found_s, _seconds, strict=True)
        else:
            allowed_s = max(self.tolerances.exposure_s, self.tolerances.exposure_fraction * wanted_s)
            if abs(found_s - wanted_s) > allowed_s:
                against.append(
                    f"exposure {_seconds(found_s)}, wanted {_seconds(wanted_s)} ± {_seconds(allowed_s)}"
                )
        return against

    def _notes(self, found: FrameMeta) -> list[str]:
        """What does not rule a candidate out and should be said."""
        wanted = self.frame
        notes = []
        for name, a, b in (
            ("read mode", wanted.read_mode, found.read_mode),
            ("Bayer pattern", wanted.bayer_pattern, found.bayer_pattern),
        ):
            if (a is None) != (b is None):
                notes.append(f"{name} is known of {'the frame' if b is None else 'the master'} only")
        if found.kind is FrameKind.BIAS:
            away_c = _distance(temperature_c(wanted), temperature_c(found))
            if away_c > self.tolerances.temp_c:
                notes.append(f"it is {away_c:.1f} °C from the frame")
            if wanted.kind is FrameKind.LIGHT:
                notes.append("a bias leaves the dark current in")
        return notes

    def _rank(self, record: FrameRecord) -> tuple[float, float, int, float, str]:
        meta = record.meta
        newest = -meta.date_obs.timestamp() if meta.date_obs else 0.0
        away_c = _distance(temperature_c(self.frame), temperature_c(meta))
        away_s = _distance(self.frame.exposure_s, meta.exposure_s)
        exposure_counts = meta.kind in {FrameKind.DARK, FrameKind.FLAT_DARK}
        return (
            round(away_c, 1),  # what a sensor can tell
            round(away_s, 3) if exposure_counts else 0.0,
            -meta.n_combined,
            newest,
            record.path.name,
        )

    def _distance(self, found: FrameMeta) -> str:
        wanted_c, found_c = temperature_c(self.frame), temperature_c(found)
        if found.kind is FrameKind.FLAT or wanted_c is None or found_c is None:
            return ""
        return f", {found_c - wanted_c:+.1f} °C from the frame"


def _differs(
    name: str,
    wanted: _T | None,
    found: _T | None,
    show: Callable[[_T], str] = str,
    *,
    strict: bool = False,
) -> list[str]:
    """Say that two values differ; with ``strict``, one unknown and one known value do."""
    if wanted == found or (not strict and (wanted is None or found is None)):
        return []
    texts = ["unknown" if value is None else show(value) for value in (found, wanted)]
    return [f"{name} {texts[0]}, wanted {texts[1]}"]


def _distance(wanted: float | None, found: float | None) -> float:
    return 0.0 if wanted is None or found is None else abs(found - wanted)


def _times(pair: tuple[int, int]) -> str:
    return f"{pair[0]}×{pair[1]}"


def _general(value: float) -> str:
    return f"{value:g}"


def _celsius(value: float) -> str:
    return f"{value:.1f} °C"


def _seconds(value: float) -> str:
    return f"{value:g} s"
