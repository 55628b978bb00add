"""Compiled loops that turn pixels into numbers."""
