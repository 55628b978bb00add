"""Tests of behaviour, through public doors."""
