"""Whole nights, as a user runs them: the command line, real processes, the real wire."""
