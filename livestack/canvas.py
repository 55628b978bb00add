"""A canvas for several panels: where they lie, and what level and brightness joins them, from a first pass.

The first panel sets the geometry. A panel that shows some of its stars is joined to it, and lends its own to
those beyond; so its sky and its fluxes. What comes out is the basis of a live stack: with all panels known,
each sub finds its stars, its level and its scale wherever it lies, in whatever order the subs come.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from library.mosaics import tall
from livestack.align import MIN_STARS, Lost, Transform, find_transform
from livestack.calibrate import settled
from livestack.engine import Basis, Reference, Sub
from livestack.errors import CanvasError
from livestack.geometry import Matrix, Points, size
from livestack.look import Look, look
from livestack.masters import saturation_level_adu
from livestack.normalise import Mesh, level_surface, transparency_scale
from livestack.setups import Setup
from livestack.stack import Calibrating, Founding
from livestack.survey import Patches, counts
from livestack.warp import Warp
from measure.stars import Stars

_MOST_PIXELS = 150e6
_EDGE_PX = 8.0
"""Stars nearer to a panel's edge may be cut off."""


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """What :meth:`livestack.engine.LiveStack.resting_on` goes on from, and the subs that no panel joins."""

    basis: Basis
    apart: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        assert self.basis.reference is not None
        return self.basis.reference.shape


def union(subs: Iterable[Sub], *, most_pixels: float = _MOST_PIXELS) -> Canvas:
    """The canvas that all subs fit on that hang together; each is opened once, and only looked at.

    Raises :class:`CanvasError` when there is no sub with stars, or the canvas is larger than ``most_pixels``.
    """
    panels = [_looked_at(sub) for sub in subs]
    starry = [panel for panel in panels if len(panel.seen.stars) >= MIN_STARS]
    if not starry:
        raise CanvasError("none of the panels shows stars enough")
    joined, stars, apart = _joined(starry)
    shape, shift = _bounds(joined)
    if shape[0] * shape[1] > most_pixels:
        wanted, limit = f"{shape[1]}×{shape[0]}", f"{most_pixels / 1e6:g} million"
        raise CanvasError(f"all panels together are {wanted} pixels, more than {limit}")
    joined = [replace(each, warp=each.warp.then_shifted(shift)) for each in joined]
    stars = replace(stars, x=stars.x + shift[0], y=stars.y + shift[1])
    foundings: dict[str | None, Founding] = {}
    for each in joined:
        _found(foundings, each, len(stars), shape)
    reference = Reference(frame_id=joined[0].panel.frame_id, stars=stars, shape=shape)
    basis = Basis(reference=reference, foundings=tuple(foundings.values()))
    return Canvas(basis, tuple(panel.frame_id for panel in apart))


@dataclass(frozen=True, slots=True, eq=False)
class _Panel:
    frame_id: str
    setup: Setup
    seen: Look
    own: Founding
    """As if its frame were the canvas."""


@dataclass(frozen=True, slots=True, eq=False)
class _Joined:
    """``pairs`` index the panel's stars and all stars, also those that it lent."""

    panel: _Panel
    warp: Warp
    pairs: NDArray[np.intp]


def _looked_at(sub: Sub) -> _Panel:
    raw = counts(tall(sub.pixels))
    level = saturation_level_adu(sub.pixels) if sub.saturation_adu is None else sub.saturation_adu
    masters, _ = settled(sub.masters, raw, level, sub.overscan_adu)
    pattern = sub.meta.bayer_pattern
    seen = replace(look(raw, masters, saturation_adu=level, bayer_pattern=pattern), patches=Patches())
    calibrating = Calibrating(raw=raw, masters=masters, bayer_pattern=pattern, exposure_s=sub.meta.exposure_s)
    as_it_lies = Warp(np.eye(3))
    own = Founding.by(
        *(sub.frame_id, sub.meta.filter, calibrating, seen, as_it_lies),
        shape=calibrating.shape,
        reference_flux=np.empty(0),
    )
    return _Panel(sub.frame_id, Setup.of(sub.meta, calibrating.shape), seen, own)


def _joined(panels: list[_Panel]) -> tuple[list[_Joined], Stars, list[_Panel]]:
    """The panels that hang together with the first, in an order in which each overlaps earlier ones."""
    first, waiting = panels[0], panels[1:]
    own = np.arange(len(first.seen.stars))
    joined = [_Joined(first, Warp(np.eye(3)), np.column_stack((own, own)))]
    stars = first.seen.stars
    last: dict[Setup, Matrix] = {first.setup: np.eye(3)}
    before = -1
    while waiting and before != len(joined):
        before, still = len(joined), list[_Panel]()
        for panel in waiting:
            found = find_transform(panel.seen.stars, stars, last.get(panel.setup))
            if isinstance(found, Lost):
                still.append(panel)
                continue
            last[panel.setup] = found.matrix
            pairs, stars = _lent(panel, found, joined, stars)
            joined.append(_Joined(panel, found.warp, pairs))
        waiting = still
    return joined, stars, waiting


def _lent(
    panel: _Panel, found: Transform, joined: list[_Joined], stars: Stars
) -> tuple[NDArray[np.intp], Stars]:
    """All stars, with those of a panel that lie beyond the others; and its pairs with them."""
    own, pixel = panel.seen.stars, size(found.matrix)
    places = found.warp.forwards(own.xy)
    new = ~np.isin(np.arange(len(own)), found.pairs[:, 0]) & _within(own.xy, panel.own.shape)
    for other in joined:
        new &= ~_within(other.warp.backwards(places), other.panel.own.shape, margin=-_EDGE_PX)
    chosen = np.flatnonzero(new)
    more = own.take(chosen)
    more = replace(
        more,
        x=places[chosen, 0],
        y=places[chosen, 1],
        flux=pixel**2 * more.flux,
        fwhm_px=pixel * more.fwhm_px,
        a=pixel * more.a,
        b=pixel * more.b,
    )
    lent = np.column_stack((chosen, len(stars) + np.arange(len(chosen))))
    names = [each.name for each in fields(Stars)]
    grown = {name: np.concatenate((getattr(stars, name), getattr(more, name))) for name in names}
    return np.concatenate((found.pairs, lent)), Stars(**grown)


def _found(
    foundings: dict[str | None, Founding], each: _Joined, n_stars: int, shape: tuple[int, int]
) -> None:
    """Let a panel settle sky and fluxes where none before it did."""
    panel, name, pixel = each.panel, each.panel.own.filter, size(each.warp.matrix)
    before = foundings.get(name)
    flux = np.full(n_stars, np.nan)
    usable = each.pairs[~panel.seen.stars.saturated[each.pairs[:, 0]]]
    flux[usable[:, 1]] = pixel**2 * panel.seen.stars.flux[usable[:, 0]]
    if before is None:
        mesh = _empty_mesh(panel.seen.mesh, pixel, shape)
        before = replace(
            panel.own,
            shape=shape,
            mesh=mesh,
            reference_flux=flux,
            noise_adu=pixel * panel.own.noise_adu,
            fwhm_px=pixel * panel.own.fwhm_px,
        )
        scale, level = 1.0, np.zeros((len(mesh.levels), mesh.levels[0].size))
    else:
        scale = transparency_scale(panel.seen.stars, each.pairs, before.reference_flux, area=pixel**2)
        surface = level_surface(before.mesh, panel.seen.mesh, each.warp, scale, shape)
        level = surface.at(before.mesh.places())
    mesh = before.mesh
    seen = (scale * panel.seen.mesh.at(each.warp.backwards(mesh.places())) + level).reshape(mesh.levels.shape)
    levels = np.where(np.isfinite(mesh.levels), mesh.levels, seen)
    fluxes = np.where(np.isfinite(before.reference_flux), before.reference_flux, scale * flux)
    foundings[name] = replace(before, mesh=Mesh(levels, mesh.first, mesh.step), reference_flux=fluxes)


def _empty_mesh(like: Mesh, pixel: float, shape: tuple[int, int]) -> Mesh:
    """A mesh over the canvas, as fine as a panel's."""
    boxes = np.array(shape[::-1]) / (pixel * like.step)
    columns, rows = np.maximum(np.rint(boxes), 1).astype(int)
    step = np.array([shape[1] / columns, shape[0] / rows])
    return Mesh(np.full((len(like.levels), rows, columns), np.nan), (step - 1) / 2, step)


def _bounds(joined: list[_Joined]) -> tuple[tuple[int, int], Points]:
    """Height and width of all panels together, and the shift in whole pixels that brings them there."""
    edges = []
    for each in joined:
        height, width = each.panel.own.shape
        x, y = np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9))
        edges.append(each.warp.forwards(np.column_stack((x.ravel(), y.ravel()))))
    places = np.concatenate(edges)
    low, high = np.floor(places.min(axis=0) + 1e-6), np.ceil(places.max(axis=0) - 1e-6)
    width, height = (high - low + 1).astype(int)
    return (int(height), int(width)), -low


def _within(places: Points, shape: tuple[int, int], margin: float = _EDGE_PX) -> NDArray[np.bool_]:
    return np.asarray(((places >= margin) & (places <= np.array(shape[::-1]) - 1 - margin)).all(axis=1))
