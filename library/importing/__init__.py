"""Frames of others: read in their formats, judged by their headers, and taken into the library."""
