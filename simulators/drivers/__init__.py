"""INDI drivers of the simulated observatory, as ``indipydriver`` devices."""

CAMERA = "firstlight CCD"
WHEEL = "firstlight Wheel"
MOUNT = "firstlight Mount"
FOCUSER = "firstlight Focuser"
PANEL = "firstlight Panel"
