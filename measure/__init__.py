"""Pixels become numbers: stars, background, noise."""
