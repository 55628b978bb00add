"""Sorting networks: which pairs to compare, the same for every pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sorting_network(count: int) -> NDArray[np.int32]:
    """Pairs (K, 2) to be compared and exchanged in this order, which sort any ``count`` values.

    Batcher's odd-even merge sort (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M).
    """
    pairs: list[tuple[int, int]] = []
    run = 1
    while run < count:
        step = run
        while step >= 1:
            for start in range(step % run, count - step, 2 * step):
                pairs += [
                    (i, i + step)
                    for i in range(start, min(start + step, count - step))
                    if i // (2 * run) == (i + step) // (2 * run)
                ]
            step //= 2
        run *= 2
    return np.array(pairs, np.int32).reshape(-1, 2)
