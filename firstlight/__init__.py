"""The session: wires the rooms together, keeps the journal, serves the socket."""

__version__ = "0.1.0"
