"""Masters out of the library's own frames: grouped by what must be equal, and built once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

from library.combine import MEMORY_BYTES, Plane, combine
from library.config import config_error, config_section
from library.cutting import Extent
from library.errors import DiskFullError, LibraryError
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.master_groups import Group, groups_of, nominal_temp_c
from library.master_header import IMAGE_TYPES, master_cards
from library.matching import match
from library.methods import Method, default_method
from library.naming import master_path
from library.places import free_path, identity, rows_in_identity
from library.reading import read_frame, read_overscan_adu
from library.store import Library
from library.writing import encode_image

__all__ = ["RECIPE", "Built", "build_masters", "nominal_temp_c"]

RECIPE = "2"
"""What is done to the frames besides the method; a master made another way is built anew."""

_OURS = "master-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A master that was just built: of how many frames, how many of the group were left out, how long."""

    record: FrameRecord
    left_out: int
    seconds: float


def build_masters(
    library: Library,
    *,
    plan_id: str | None = None,
    kinds: Collection[FrameKind] = tuple(IMAGE_TYPES),
    method: Method | None = None,
    min_frames: int = 1,
    allow_uncalibrated_flats: bool = False,
    memory_bytes: int = MEMORY_BYTES,
    on_refused: Callable[[str], None] = lambda _reason: None,
    on_left_out: Callable[[str], None] | None = None,
    on_begin: Callable[[str], None] = lambda _what: None,
    on_built: Callable[[Built], None] = lambda _built: None,
) -> list[FrameRecord]:
    """Build every master that is missing, has other frames now, or was made another way; return those.

    Of one plan's frames, or of all that are not retired. A plan's biases and darks are combined with all
    others of their group, so that a night's few never take the place of the many of a day; its flats by
    themselves, since they are that night's dust. Biases and darks come first, so that flats find theirs.
    ``method`` None leaves a master of the same frames as it is, however it was made, and builds
    others by ``method`` in section ``[masters]`` of library.toml, or else by the default for their number.
    What cannot be built is told to ``on_refused``, with its reason, and so is a frame that was left out,
    unless ``on_left_out`` is there.
    The same frames give the same bytes, and a second call builds nothing. Masters of other programs are
    left alone. Raises :class:`DiskFullError`.
    """
    configured = _configured_method(library)
    built = []
    for kind in IMAGE_TYPES:
        if kind not in kinds:
            continue
        for group in _groups(library, kind, plan_id):
            build = _Build(
                library, group, method, configured, min_frames, allow_uncalibrated_flats, memory_bytes
            )
            try:
                done = build.run(on_begin, on_left_out or on_refused)
            except DiskFullError:
                raise
            except LibraryError as error:
                on_refused(f"{build.what}: {error}")
                continue
            if done is not None:
                built.append(done.record)
                on_built(done)
    return built


def _groups(library: Library, kind: FrameKind, plan_id: str | None) -> list[Group]:
    """The groups that a plan's frames are in, or all groups."""
    mine = library.find(kind=kind, plan_id=plan_id, master=False)
    if plan_id is None or kind is FrameKind.FLAT or not mine:
        return groups_of(mine)
    ids = {record.id for record in mine}
    groups = groups_of(library.find(kind=kind, master=False))
    return [group for group in groups if any(record.id in ids for record in group.records)]


@dataclass(frozen=True, slots=True)
class _Build:
    library: Library
    group: Group
    asked: Method | None
    configured: Method | None
    min_frames: int
    allow_uncalibrated_flats: bool
    memory_bytes: int

    @property
    def what(self) -> str:
        """The group in words."""
        return f"{self._path().stem}: {len(self.group.records)} frame{'s' * (len(self.group.records) != 1)}"

    def run(self, on_begin: Callable[[str], None], on_left_out: Callable[[str], None]) -> Built | None:
        """Build the group's master unless it is there already."""
        started = time.monotonic()
        records, meta = self.group.records, self.group.meta
        bare = bool(set("BD") & set(meta.calibrated))
        pedestal = self._pedestal() if meta.kind is FrameKind.FLAT and not bare else None
        method = self.asked or self.configured or default_method(len(records))
        sources = self._sources(pedestal)
        master_id = f"{sources}-{hashlib.sha256(str(method).encode()).hexdigest()[:8]}"
        if self._named(master_id if self.asked else sources):
            return None
        if len(records) < self.min_frames:
            raise LibraryError(f"fewer than {self.min_frames}; shoot more of them")
        on_begin(self.what)
        master = combine(
            [record.path for record in records],
            meta.kind,
            dark=None if pedestal is None else _plane(pedestal, meta),
            pedestal_overscan_adu=None if pedestal is None else read_overscan_adu(pedestal.path, in_adu=True),
            bayer_pattern=meta.bayer_pattern,
            method=method,
            allow_uncalibrated_flat=self.allow_uncalibrated_flats or bare,
            memory_bytes=self.memory_bytes,
        )
        for left in master.left_out:
            on_left_out(f"{left.path.name} was left out: {left.reason}")
        if master.n_frames < self.min_frames:
            raise LibraryError(f"{master.n_frames} can be used, fewer than {self.min_frames}")
        cards = master_cards(records, master, master_id, pedestal)
        record = self.library.put_master(self._path(), encode_image(master.pixels, cards))
        return Built(record=record, left_out=len(master.left_out), seconds=time.monotonic() - started)

    def _pedestal(self) -> FrameRecord | None:
        """The flat-dark that fits every flat of the group, or else the bias that fits every one."""
        calibrations = [match(self.library, record.meta) for record in self.group.records]
        for choices in ([c.flat_dark for c in calibrations], [c.bias for c in calibrations]):
            found = {choice.record for choice in choices if choice.usable}
            if len(found) == 1 and all(choice.usable for choice in choices):
                return found.pop()
        return next((c.bias.record for c in calibrations if c.bias.usable), None)

    def _path(self) -> PurePosixPath:
        """Its name; one of another group, or another program, that has it already keeps it."""
        path = master_path(self.group.meta, self.group.temp_c)
        return free_path(self.library, path, (self.group.key[:-1], self.group.temp_c), self._is_mine)

    def _is_mine(self, taken: FrameRecord) -> bool:
        """Whether that master is of this group: ours, and what is made of its header falls in with it."""
        if not (taken.meta.frame_id or "").startswith(_OURS):
            return False
        return len(groups_of([taken, *self.group.records])) == 1

    def _sources(self, pedestal: FrameRecord | None) -> str:
        """A name for exactly these frames, combined in whichever way."""
        records, meta = self.group.records, self.group.meta
        parts = [RECIPE, meta.kind.value, pedestal.sha256 if pedestal else ""]
        parts += sorted(record.sha256 for record in records)
        parts += rows_in_identity(meta)
        name = f"{_OURS}{identity(parts)}"
        size = meta.width, meta.height
        if all((record.meta.width, record.meta.height) == size for record in self._named(name)):
            return name
        # It was made when an overscan was part of the picture.
        return f"{_OURS}{identity([*parts, repr(size)])}"

    def _named(self, name: str) -> list[FrameRecord]:
        masters = self.library.find(kind=self.group.meta.kind, master=True)
        return [record for record in masters if (record.meta.frame_id or "").startswith(name)]


def _configured_method(library: Library) -> Method | None:
    root = library.folder.parent
    text = config_section(root, "masters").get("method")
    if text is None:
        return None
    try:
        return Method.parse(str(text))
    except LibraryError as error:
        raise config_error(root, "masters.method", f"is {text!r}: {error}") from error


def _plane(record: FrameRecord, frame: FrameMeta) -> Plane:
    """A master, or the piece of it that lies on a frame."""
    pixels = read_frame(record.path, in_adu=True).pixels
    piece = Extent.of(frame).piece(pixels, Extent.of(record.meta))
    return piece.astype("f4", copy=False)
