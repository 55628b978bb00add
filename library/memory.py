"""How a process that holds large arrays for hours keeps its memory small."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
_OWN_BLOCK_BYTES = 4 << 20


def give_back_large_blocks() -> None:
    """Let go of blocks of 4 MB and more as soon as they are freed, in this process and from now on.

    glibc raises that size by itself, up to 32 MB, with each such block that is freed, and keeps what is
    smaller for later: 120 MB after some subs of 26 megapixels. Nothing happens where malloc has no such knob.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return
    mallopt(_M_MMAP_THRESHOLD, _OWN_BLOCK_BYTES)
