"""A plan becomes frames: devices as small Protocols, the runner, the INDI client."""
