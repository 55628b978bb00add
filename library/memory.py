"""How a process that holds large arrays for hours keeps its memory small."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_OWN_BLOCK_BYTES, _MOST_SPARE_BYTES = 16 << 20, 32 << 20


def give_back_large_blocks() -> None:
    """Let go of blocks of 16 MB and more as soon as they are freed, in this process and from now on.

    glibc changes its limits by itself with each large block that is freed, and keeps more and more for later:
    120 MB after some subs of 26 megapixels. With lower limits than these the same pages are asked for again
    and again, and a look takes half as long again. Nothing happens where malloc has no such knobs.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return
    mallopt(_M_MMAP_THRESHOLD, _OWN_BLOCK_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _MOST_SPARE_BYTES)
