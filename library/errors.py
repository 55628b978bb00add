"""The library's errors; each says what happened, to which file, and what to do."""


class LibraryError(Exception):
    """Base of every error that a user can act on."""


class NotAFitsFileError(LibraryError):
    """A file that should be FITS is not, or is cut short."""


class CannotBeIndexedError(NotAFitsFileError):
    """A file whose name or header has what the catalogue cannot hold."""


class UnreadableImageError(NotAFitsFileError):
    """A file of another format than FITS cannot be read, or holds what we cannot use; the reason is told."""


class NotAFrameError(NotAFitsFileError):
    """A file that is no frame by its content, though whole: a JPEG, a thumbnail; ``what`` names its kind."""

    def __init__(self, message: str, what: str) -> None:
        super().__init__(message)
        self.what = what


class DiskFullError(LibraryError):
    """The disk has no room for the frame; nothing half-written was left behind."""


class LibraryBusyError(LibraryError):
    """Another process holds what only one may hold."""


class DamagedCatalogueError(LibraryError):
    """The catalogue is no database any more; the frames are what they were, and it is rebuilt from them."""


class UncalibratedFlatError(LibraryError):
    """Flats without their bias or flat-dark, which would correct vignetting wrongly."""
