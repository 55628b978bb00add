"""A picture made smaller."""

from __future__ import annotations

import numpy as np

from numerics.compiling import kernel


@kernel(fast=True)
def bin_rows(first, last, plane, binning, small):  # type: ignore[no-untyped-def]
    """Fill rows ``first`` to ``last`` of ``small`` with means of ``binning`` × ``binning`` pixels of a plane.

    Pixels that are not a number do not count; a mean of none is not a number.
    """
    share = np.float32(1) / np.float32(binning * binning)
    for v in range(first, last):
        sums = np.zeros(small.shape[1] * binning, np.float32)
        for j in range(binning):
            row = plane[v * binning + j]
            for x in range(len(sums)):
                sums[x] += row[x]
        for u in range(small.shape[1]):
            total = np.float32(0)
            for i in range(binning):
                total += sums[u * binning + i]
            if total - total != 0:
                total, known = np.float32(0), np.float32(0)
                for j in range(binning):
                    for i in range(binning):
                        value = plane[v * binning + j, u * binning + i]
                        if value - value == 0:
                            total += value
                            known += 1
                small[v, u] = total / known if known > 0 else np.float32(np.nan)
            else:
                small[v, u] = total * share
