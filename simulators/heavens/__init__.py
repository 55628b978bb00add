"""The sky above the telescope: stars, showpieces, atmosphere, moon, twilight, clouds and passers-by."""
