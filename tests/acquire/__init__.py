"""Tests of the acquisition room."""
