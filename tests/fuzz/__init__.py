"""Files, settings and messages that nobody means well with, made by seeded damage to valid ones."""
