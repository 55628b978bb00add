"""What the stacking process holds: the live stack, its masters, and the pictures made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path

import cv2

from firstlight.applying import load
from firstlight.choices import Choices, Tally, used
from firstlight.events import DarkScaled, Event, Log, StackSummary
from firstlight.stack_output import finite, stack_cards, write_colour_preview, write_preview
from firstlight.stacker import Job
from library.errors import LibraryError
from library.naming import safe_name
from library.reading import Frame, read_frame
from library.writing import write_image
from livestack.dark_scaling import Scaling
from livestack.engine import LiveStack, Sub
from livestack.events import PictureUpdated, StackUpdated, SubAccepted, SubRejected
from livestack.stack import StackImage

COLOUR = "colour"


class Stacks:
    """One target's stacks and pictures; not for several threads."""

    def __init__(self, pictures: Path, target: str) -> None:
        cv2.setNumThreads(1)  # the other core is the camera's
        self._pictures, self._target = pictures, safe_name(target)
        self._live = LiveStack()
        self._firsts: dict[str | None, Frame] = {}
        self._choices: dict[str | None, Tally] = {}
        self._scalings: dict[str | None, list[Scaling]] = {}
        self._changed: set[str | None] = set()
        self._images: dict[str | None, StackImage] = {}
        self._load = lru_cache(maxsize=8)(load)

    def add(self, job: Job) -> Iterator[SubAccepted | SubRejected | DarkScaled]:
        """Stack a light; whatever is wrong with its file or its masters' is a reason to reject it."""
        try:
            frame = read_frame(job.path)
            masters = self._load(used(job.choices), frame.meta.bayer_pattern)
        except LibraryError as error:
            yield SubRejected(
                frame_id=job.frame_id, filter=None, reason="unreadable", detail=str(error), seconds=0.0
            )
            return
        outcome = self._live.process(
            Sub(frame_id=job.frame_id, pixels=frame.pixels, meta=frame.meta, masters=masters)
        )
        if outcome.dark_scaling is not None:
            scaling = asdict(outcome.dark_scaling)
            yield DarkScaled(frame_id=job.frame_id, filter=frame.meta.filter, **scaling)
        if isinstance(outcome.event, SubAccepted):
            self._keep(frame, job.choices, outcome.dark_scaling)
        yield outcome.event

    def _keep(self, frame: Frame, choices: Choices, scaling: Scaling | None) -> None:
        """Remember what the stack's header will say of a sub that is in it."""
        name = frame.meta.filter
        self._firsts.setdefault(name, frame)
        self._changed.add(name)
        self._choices.setdefault(name, Tally()).add(choices)
        if scaling is not None:
            self._scalings.setdefault(name, []).append(scaling)

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
                told = self._choices[name].most_first()
                cards = stack_cards(image, self._firsts[name], told, self._scalings.get(name, ()))
                write_image(fits, image.pixels, cards)
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


def _label(image: StackImage) -> str:
    """The filter's name; without a wheel, what the sensor is."""
    return image.filter or ("OSC" if image.pixels.ndim == 3 else "mono")
