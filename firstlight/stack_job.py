"""What ``firstlight stack`` is asked for, and the files that it writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from firstlight.errors import FirstlightError
from firstlight.stack_calibration import Wanted
from library.cards import Card
from library.mosaics import is_bayer, is_xtrans
from library.naming import safe_name
from livestack.demosaics import DEFAULT, Demosaic
from livestack.drizzle import DEFAULT_PIXFRAC, LARGEST_SCALE
from livestack.errors import LiveStackError
from livestack.grading import Limit, Rules
from livestack.placing import Interpolation
from livestack.restack_methods import stacking_method

LIVE = "live"
NO_MOSAIC = "none"


class StackInterruptedError(FirstlightError):
    """It was asked to stop. What was done is kept, and the same command goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackJob:
    """``output`` is the stack of a single filter; of several, each has its name at the end of the file's.

    ``method`` is "live", or one of :data:`livestack.restack_methods.METHODS` for an exact restack at the end.
    ``reference`` sets the geometry and need not be among the lights. ``without`` are lights that are left out
    by hand. ``demosaic`` is how a mosaic becomes colour, ``interpolation`` how pixels are resampled (None: as
    is usual). ``bayer`` is the lights' mosaic, or "none", where their headers are silent or wrong. ``comet``
    is "auto" or marks, see :func:`firstlight.stack_comet.comet_places`. ``fresh`` forgets what an interrupted
    run has left; ``keep`` leaves the state there at the end.
    """

    output: Path
    wanted: Wanted = field(default_factory=Wanted)
    preview: Path | None = None
    report: Path | None = None
    reference: Path | None = None
    method: str = LIVE
    drizzle: float | None = None
    pixfrac: float = DEFAULT_PIXFRAC
    palette: str | None = None
    comet: tuple[str, ...] = ()
    bayer: str | None = None
    demosaic: Demosaic = DEFAULT
    interpolation: Interpolation | None = None
    rules: Rules = field(default_factory=Rules)
    without: tuple[Path, ...] = ()
    fresh: bool = False
    keep: bool = False

    def check(self) -> None:
        """Raise FirstlightError for what cannot be done, before any work."""
        for path in self.results():
            _check_destination(path)
        if self.reference is not None and not self.reference.is_file():
            raise FirstlightError(f"{self.reference}: the reference is not there; name a light or a stack")
        if self.drizzle is not None and not 1 <= self.drizzle <= LARGEST_SCALE:
            raise FirstlightError(f"--drizzle goes from 1 to {LARGEST_SCALE:g}, not {self.drizzle:g}")
        if not 0 < self.pixfrac <= 1:
            raise FirstlightError(f"--pixfrac is more than 0 and at most 1, not {self.pixfrac:g}")
        if self.bayer is not None and not self._is_mosaic():
            raise FirstlightError(
                f"--bayer takes 4 letters (RGGB) or 36 (X-Trans), row by row, or {NO_MOSAIC}; "
                f"not {self.bayer!r}"
            )
        if self.comet:
            self._check_comet()
        if self.method != LIVE:
            try:
                stacking_method(self.method)
            except LiveStackError as error:
                raise FirstlightError(f"--method: {error}; or {LIVE}") from error

    def _check_comet(self) -> None:
        from firstlight.stack_comet import comet_places

        comet_places(self.comet)
        if self.method != LIVE or self.drizzle is not None:
            raise FirstlightError("--comet has a way of its own to combine: leave out --method and --drizzle")

    def _is_mosaic(self) -> bool:
        word = (self.bayer or "").upper()
        return word == NO_MOSAIC.upper() or is_bayer(word) or is_xtrans(word)

    @property
    def cards(self) -> tuple[Card, ...]:
        """What stands in the lights' headers, whatever they say."""
        if self.bayer is None:
            return ()
        pattern = "" if self.bayer.lower() == NO_MOSAIC else self.bayer.upper()
        return (("BAYERPAT", pattern, "as --bayer says"), ("COLORTYP", "", ""))

    def results(self) -> list[Path]:
        """The files named to be written; those of several filters are told by their headers."""
        return [path for path in (self.output, self.preview, self.report) if path is not None]

    def outputs(self, names: Iterable[str | None]) -> dict[str | None, Path]:
        """The stack of each filter."""
        return _apart(self.output, list(names))

    def previews(self, names: Iterable[str | None]) -> dict[str | None, Path]:
        """The picture of each filter, if pictures are wanted; that of all together is ``preview`` itself."""
        return {} if self.preview is None else _apart(self.preview, list(names))


def rules(
    *, max_fwhm_px: float | None = None, max_sigma: float | None = None, keep_all: bool = False
) -> Rules:
    """By which subs are judged: the usual ones, sharper ones, or none."""
    usual, others = Rules(), dict[str, Any]()
    for name in (each.name for each in fields(Rules)):
        limit = getattr(usual, name)
        if isinstance(limit, Limit) and keep_all:
            others[name] = Limit()
        elif isinstance(limit, Limit) and max_sigma is not None and limit.sigmas is not None:
            others[name] = Limit(sigmas=max_sigma)
    usual = replace(usual, **others)
    if max_fwhm_px is not None:
        usual = replace(usual, fwhm_px=replace(usual.fwhm_px, absolute=max_fwhm_px))
    return usual


def label(name: str | None) -> str:
    """A filter's name for people; no filter has one, too."""
    return name or "none"


def _apart(path: Path, names: list[str | None]) -> dict[str | None, Path]:
    if len(names) < 2:
        return dict.fromkeys(names, path)
    found: dict[str | None, Path] = {}
    taken: set[str] = set()
    for name in names:
        stem = f"{path.stem}_{safe_name(label(name))}"
        number = 1
        while f"{stem}{number}".lower() in taken:
            number += 1
        taken.add(f"{stem}{number}".lower())
        found[name] = path.with_name(f"{stem}{number if number > 1 else ''}{path.suffix}")
    return found


def _check_destination(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise FirstlightError(f"{path}: its folder is not there; make it with: mkdir -p '{folder}'")
    if path.is_dir():
        raise FirstlightError(f"{path} is a folder; name a file in it")
    probe = folder / f".{path.name}.part-probe"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FirstlightError(f"{folder}: cannot be written to ({error.strerror}); choose another") from error
