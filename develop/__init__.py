"""A picture becomes one that people look at: stretch, colour, preview."""
