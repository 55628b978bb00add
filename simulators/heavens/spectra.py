"""Light of more than one colour, and what each filter lets through of it."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.optics import CLEAR, PASSBANDS

_THROUGH = 0.9
"""A filter's transmission at a line that lies in it."""

_HBETA_PER_HALPHA = 0.2
"""Photons in Hβ for each in Hα + [N II]; recombination gives 0.26 of Hα alone (Osterbrock & Ferland 2006)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """Shares of an object's photons in L: three lines, the Hβ that comes with Hα, and starlight for the rest.

    ``ha`` holds [N II] too, which no common filter parts from Hα.
    """

    colour: float = 0.8
    """BP − RP of the starlight."""

    ha: float = 0.0
    oiii: float = 0.0
    sii: float = 0.0

    @property
    def continuum(self) -> float:
        """The starlight's share."""
        return 1.0 - self.oiii - self.sii - self.ha * (1.0 + _HBETA_PER_HALPHA)


def response(spectrum: Spectrum, filter_name: str) -> float:
    """Light through a filter, as a share of what arrives in L (an unknown filter's name means L).

    Most blue and green filters overlap at [O III] 500.7 nm; blue lets half of it through here.
    """
    if filter_name not in PASSBANDS or PASSBANDS[filter_name] is CLEAR:
        return 1.0
    band = PASSBANDS[filter_name]
    starlight = band.share * 10.0 ** (-0.4 * band.colour_term * (spectrum.colour - 0.8))
    hbeta = _HBETA_PER_HALPHA * spectrum.ha
    lines = {
        "R": spectrum.ha + spectrum.sii,
        "G": spectrum.oiii,
        "B": hbeta + 0.5 * spectrum.oiii,
        "Ha": spectrum.ha,
        "OIII": spectrum.oiii,
        "SII": spectrum.sii,
    }
    return float(spectrum.continuum * starlight + _THROUGH * lines.get(filter_name, 0.0))
