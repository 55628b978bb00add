"""Readers of image files that are no FITS: a module for each format, behind one table of them."""
