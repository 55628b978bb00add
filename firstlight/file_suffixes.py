"""Whether the names of the files to be written say what they will be: FITS for stacks, PNG for pictures."""

from __future__ import annotations

from pathlib import Path

from firstlight.errors import FirstlightError

_NOT_FITS = {
    ".png", ".jpg", ".jpeg", ".jp2", ".jxl", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".heic", ".avif",
    ".ppm", ".pgm", ".pnm", ".svg", ".pdf", ".xisf", ".ser", ".dng",
}  # fmt: skip
_NOT_PNG = _NOT_FITS - {".png"} | {".fits", ".fit", ".fts"}


def check_suffixes(output: Path, preview: Path | None = None, *, has_preview: bool = True) -> None:
    """Raise FirstlightError for a stack named as a picture, or a picture named as another format."""
    if output.suffix.lower() in _NOT_FITS:
        besides = f", and --preview {output.with_suffix('.png')} for a picture" if has_preview else ""
        raise FirstlightError(
            f"-o {output}: what is written there is FITS and no {output.suffix[1:].upper()}; "
            f"give -o {output.with_suffix('.fits')}{besides}"
        )
    if preview is not None and preview.suffix.lower() in _NOT_PNG:
        raise FirstlightError(
            f"--preview {preview}: a preview is a PNG; give --preview {preview.with_suffix('.png')}"
        )
