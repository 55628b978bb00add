"""The library's errors; each says what happened, to which file, and what to do."""


class LibraryError(Exception):
    """Base of every error that a user can act on."""


class NotAFitsFileError(LibraryError):
    """A file that should be FITS is not, or is cut short."""


class CannotBeIndexedError(NotAFitsFileError):
    """A file whose name or header has what the catalogue cannot hold."""


class DiskFullError(LibraryError):
    """The disk has no room for the frame; nothing half-written was left behind."""


class LibraryBusyError(LibraryError):
    """Another process holds what only one may hold."""


class DamagedCatalogueError(LibraryError):
    """The catalogue is no database any more; the frames are what they were, and it is rebuilt from them."""


class UncalibratedFlatError(LibraryError):
    """Flats without their bias or flat-dark, which would correct vignetting wrongly."""
