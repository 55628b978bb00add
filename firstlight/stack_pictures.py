"""The files that a night's stacks are seen in: previews while they grow, FITS in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from firstlight.applying import shift_cards
from firstlight.choices import Tally
from firstlight.events import Event, Log, StackSummary
from firstlight.scalings import Scalings
from firstlight.stack_output import finite, stack_cards, write_colour_preview, write_preview
from firstlight.stacker import Job
from library.errors import LibraryError
from library.naming import safe_name
from library.reading import read_frame
from library.writing import write_image
from livestack.events import PictureUpdated, StackUpdated
from livestack.ledger import Entry
from livestack.stack import StackImage

COLOUR = "colour"


class Pictures:
    """The newest picture of each filter of one target, and where they are written."""

    def __init__(self, folder: Path, target: str, tell: Callable[[Event], None]) -> None:
        self._folder, self._target, self._tell = folder, safe_name(target), tell
        self._images: dict[str | None, StackImage] = {}

    def clear(self) -> None:
        """Forget the pictures; their files stay until there are others."""
        self._images.clear()

    def forget(self, name: str | None) -> None:
        """There is no such picture any more; its file stays."""
        self._images.pop(name, None)

    def show(self, name: str | None, image: StackImage, inside: Sequence[Entry]) -> None:
        """Tell what a filter's picture is like, and paint it."""
        self._images[name] = image
        self._tell(
            StackUpdated(
                filter=name,
                subs=image.subs,
                exposure_s=image.exposure_s,
                fwhm_px=finite(image.fwhm_px),
                noise_adu=image.noise_adu,
                sub_noise_adu=image.sub_noise_adu,
                snr_gain=finite(image.snr_gain),
                rejected_fraction=finite(image.rejected_fraction),
                effective_subs=effective_subs(inside),
            )
        )
        path = self._file(_label(image), "png")
        self._paint(name, path, partial(write_preview, path, image))

    def show_colour(self) -> None:
        """Paint the filters together, where they allow it."""
        if len(self._images) > 1:
            path = self._file(COLOUR, "png")
            self._paint(None, path, partial(write_colour_preview, path, self._images))

    @property
    def colour(self) -> Path | None:
        """The colour picture of several filters, if they allowed one."""
        path = self._file(COLOUR, "png")
        return path if len(self._images) > 1 and path.exists() else None

    def write(
        self, inside: Callable[[str | None], Sequence[Entry]], scalings: Scalings
    ) -> list[StackSummary]:
        """Write each stack as FITS, and say what it came to; ``inside`` gives the subs of a filter's."""
        summaries = []
        for name, image in self._images.items():
            fits = self._file(_label(image), "fits")
            try:
                _write_fits(fits, image, inside(name), scalings)
            except LibraryError as error:
                self._tell(Log(level="error", message=str(error)))
                continue
            summaries.append(
                StackSummary(
                    filter=_label(image),
                    fits=str(fits),
                    preview=str(self._file(_label(image), "png")),
                    subs=image.subs,
                    exposure_s=image.exposure_s,
                    fwhm_px=finite(image.fwhm_px),
                    noise_adu=image.noise_adu,
                    snr_gain=finite(image.snr_gain),
                )
            )
        return summaries

    def _paint(self, name: str | None, path: Path, write: Callable[[], tuple[int, int] | None]) -> None:
        """Write a picture; one that cannot be written is told, and the stack goes on."""
        try:
            size = write()
        except OSError as error:
            self._tell(Log(level="error", message=f"{path} cannot be written: {error.strerror or error}"))
            return
        if size is not None:
            self._tell(PictureUpdated(filter=name, path=str(path), width=size[0], height=size[1]))

    def _file(self, label: str, suffix: str) -> Path:
        return self._folder / f"{self._target}_{safe_name(label)}.{suffix}"


def effective_subs(inside: Sequence[Entry]) -> float | None:
    """(Σw)²/Σw²: how many subs of equal weight would do as well."""
    weights = [each.placed.class_weight for each in inside if each.placed is not None]
    return sum(weights) ** 2 / sum(weight**2 for weight in weights) if weights else None


def _write_fits(path: Path, image: StackImage, inside: Sequence[Entry], scalings: Scalings) -> None:
    """The header tells of the subs that are in it; the first one's says what all have in common."""
    jobs = [Job.from_note(each.note) for each in inside]
    tally = Tally()
    for job in jobs:
        tally.add(job.choices)
    scaled = list(scalings.of(each.frame_id for each in inside))
    cards = stack_cards(image, read_frame(jobs[0].path), tally.most_first(), scaled)
    write_image(path, image.pixels, [*cards, *shift_cards(each.placed for each in inside)])


def _label(image: StackImage) -> str:
    """The filter's name; without a wheel, what the sensor is."""
    return image.filter or ("OSC" if image.pixels.ndim == 3 else "mono")
