"""What the catalogue has to say of a file: its header is read, and its bytes unless their digest is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from library.digests import Digest
from library.errors import NotAFitsFileError
from library.reading import meta_of, open_image
from library.rows import Row, to_row
from library.scan import digest_file


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row to be entered, and whether its digest has yet to be noted."""

    row: Row
    digest: Digest
    is_known: bool


def prepare(folder: Path, path: str, known: Digest | None) -> Prepared:
    """Read a file of the library in ``folder``, without the catalogue's lock.

    A ``known`` digest is trusted if size and frame id agree: it says what was written once, and
    whoever verifies will find it if the bytes have rotted since.

    Raises :class:`NotAFitsFileError` if it is no whole FITS image, or cannot be indexed.
    """
    file = folder / path
    with open_image(file) as (stream, unit):
        meta = meta_of(unit)
        size = file.stat().st_size
        is_known = known is not None and (known.size_bytes, known.frame_id) == (size, meta.frame_id)
        if not is_known:
            stream.seek(unit.data_start + unit.data_size - 1)
            if not stream.read(1):
                raise NotAFitsFileError(f"{file}: is cut short; restore or delete it")
    try:
        digest = known if known and is_known else Digest(digest_file(file), size, meta.frame_id)
    except OSError as error:
        raise NotAFitsFileError(f"{file}: cannot be read: {error.strerror}; restore or delete it") from error
    row = to_row(path, digest.sha256, size, meta, is_master=path.startswith("masters/"))
    return Prepared(row, digest, is_known)
