"""Frames become one picture: calibrate, detect, align, resample, integrate."""
