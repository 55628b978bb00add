"""What the live stack says of each sub and each stack."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SubAccepted:
    """A sub is in the stack. Noise figures are background noise in ADU at the stack's scale."""

    frame_id: str
    filter: str | None
    n_matches: int
    rms_px: float
    shift_px: float
    rotation_deg: float
    fwhm_px: float
    background_adu: float
    noise_adu: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SubRejected:
    """A sub is not in the stack; ``reason`` is a word to group by, ``detail`` says it in a sentence."""

    frame_id: str
    filter: str | None
    reason: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StackUpdated:
    """The stack of one filter has grown. ``sub_noise_adu`` is the median noise of one registered sub.

    ``fwhm_px`` is ``None`` without stars, ``snr_gain`` without noise. ``rejected_fraction`` of the subs'
    pixels were left out as outliers. ``effective_subs`` is (Σw)²/Σw², the number that weights leave.
    """

    filter: str | None
    subs: int
    exposure_s: float
    fwhm_px: float | None
    noise_adu: float
    sub_noise_adu: float
    snr_gain: float | None
    rejected_fraction: float | None = None
    effective_subs: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureUpdated:
    """A new preview stands at ``path`` (PNG); ``filter`` is ``None`` for the colours together."""

    filter: str | None
    path: str
    width: int
    height: int


LiveStackEvent = SubAccepted | SubRejected | StackUpdated | PictureUpdated
