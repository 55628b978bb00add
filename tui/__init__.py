"""The terminal faces: the command line and the full-screen app."""
