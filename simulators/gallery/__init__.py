"""A page of pictures of everything the observatory simulates: ``python -m simulators.gallery``."""
