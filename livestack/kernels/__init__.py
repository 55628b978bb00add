"""Loops over every pixel, compiled by numba on first use; import these only where stacking is meant."""
