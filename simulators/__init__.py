"""A simulated observatory: sky, sensor, and INDI drivers on the wire."""
