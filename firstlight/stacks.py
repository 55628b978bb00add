"""What the stacking process holds: the live stack, its masters, and the pictures made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import cv2

from firstlight.choices import Choices, gist
from firstlight.events import Event, Log, StackSummary
from firstlight.stack_output import finite, stack_cards, write_colour_preview, write_preview
from firstlight.stacker import Job
from library.defects import read_defects, to_mend
from library.errors import LibraryError
from library.naming import safe_name
from library.reading import Frame, Pixels, read_frame
from library.writing import write_image
from livestack.engine import LiveStack, Sub
from livestack.events import PictureUpdated, StackUpdated, SubAccepted, SubRejected
from livestack.masters import Masters, prepare
from livestack.stack import StackImage

COLOUR = "colour"


class Stacks:
    """One target's stacks and pictures; not for several threads."""

    def __init__(self, pictures: Path, target: str) -> None:
        cv2.setNumThreads(1)  # the other core is the camera's
        self._pictures, self._target = pictures, safe_name(target)
        self._live = LiveStack()
        self._firsts: dict[str | None, Frame] = {}
        self._choices: dict[str | None, dict[object, tuple[Choices, int]]] = {}
        self._changed: set[str | None] = set()
        self._images: dict[str | None, StackImage] = {}
        self._masters = lru_cache(maxsize=8)(_masters)

    def add(self, job: Job) -> SubAccepted | SubRejected:
        """Stack a light; whatever is wrong with its file or its masters' is a reason to reject it."""
        try:
            frame = read_frame(job.path)
            masters = self._masters(job.dark, job.bias, job.flat, job.defects, frame.meta.bayer_pattern)
        except LibraryError as error:
            return SubRejected(
                frame_id=job.frame_id, filter=None, reason="unreadable", detail=str(error), seconds=0.0
            )
        verdict = self._live.add(
            Sub(frame_id=job.frame_id, pixels=frame.pixels, meta=frame.meta, masters=masters)
        )
        if isinstance(verdict, SubAccepted):
            self._firsts.setdefault(frame.meta.filter, frame)
            self._changed.add(frame.meta.filter)
            so = self._choices.setdefault(frame.meta.filter, {})
            choices, n_subs = so.get(gist(job.choices), (job.choices, 0))
            so[gist(job.choices)] = (choices, n_subs + 1)
        return verdict

    def refresh(self) -> Iterator[Event]:
        """Measure the stacks that have changed, and paint them."""
        changed, self._changed = sorted(self._changed, key=str), set()
        for name in changed:
            image = self._images[name] = self._live.snapshot(name)
            yield StackUpdated(
                filter=name,
                subs=image.subs,
                exposure_s=image.exposure_s,
                fwhm_px=finite(image.fwhm_px),
                noise_adu=image.noise_adu,
                sub_noise_adu=image.sub_noise_adu,
                snr_gain=finite(image.snr_gain),
            )
            path = self._file(_label(image), "png")
            yield from self._paint(name, path, partial(write_preview, path, image))
        if changed and len(self._images) > 1:
            path = self._file(COLOUR, "png")
            yield from self._paint(None, path, partial(write_colour_preview, path, self._images))

    def finish(self) -> Iterator[Event | StackSummary]:
        """Write each stack, and say what it came to."""
        for name, image in self._images.items():
            label = _label(image)
            fits = self._file(label, "fits")
            try:
                told = sorted(self._choices[name].values(), key=lambda each: -each[1])
                write_image(fits, image.pixels, stack_cards(image, self._firsts[name], told))
            except LibraryError as error:
                yield Log(level="error", message=str(error))
                continue
            yield StackSummary(
                filter=label,
                fits=str(fits),
                preview=str(self._file(label, "png")),
                subs=image.subs,
                exposure_s=image.exposure_s,
                fwhm_px=finite(image.fwhm_px),
                noise_adu=image.noise_adu,
                snr_gain=finite(image.snr_gain),
            )

    @property
    def colour(self) -> Path | None:
        """The colour picture of several filters, if they allowed one."""
        path = self._file(COLOUR, "png")
        return path if len(self._images) > 1 and path.exists() else None

    def _paint(
        self, name: str | None, path: Path, write: Callable[[], tuple[int, int] | None]
    ) -> Iterator[Event]:
        """Write a picture; one that cannot be written is told, and the stack goes on."""
        try:
            size = write()
        except OSError as error:
            yield Log(level="error", message=f"{path} cannot be written: {error.strerror or error}")
            return
        if size is not None:
            yield PictureUpdated(filter=name, path=str(path), width=size[0], height=size[1])

    def _file(self, label: str, suffix: str) -> Path:
        return self._pictures / f"{self._target}_{safe_name(label)}.{suffix}"


def _masters(
    dark: str | None, bias: str | None, flat: str | None, defects: str | None, bayer_pattern: str | None
) -> Masters:
    def pixels(path: str | None) -> Pixels | None:
        return None if path is None else read_frame(path).pixels

    return prepare(
        dark=pixels(dark),
        bias=pixels(bias),
        flat=pixels(flat),
        defects=None if defects is None else to_mend(read_defects(Path(defects)), dark=dark is not None),
        bayer_pattern=bayer_pattern,
    )


def _label(image: StackImage) -> str:
    """The filter's name; without a wheel, what the sensor is."""
    return image.filter or ("OSC" if image.pixels.ndim == 3 else "mono")
