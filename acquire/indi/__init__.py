"""The INDI client: the only place that knows INDI, and (in ``worker``) PyIndi."""
