"""Loops over pixels, compiled by numba; import the modules lazily, numba takes a second to load."""
