"""The panels of the screen, each one small."""
