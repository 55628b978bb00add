"""Faults on purpose, on a script and at random: ``load`` a file, and the observatory does what it says."""

from simulators.faults.injector import NO_FAULTS, Injector
from simulators.faults.plan import Fault, FaultFileError, FaultPlan, load

__all__ = ["NO_FAULTS", "Fault", "FaultFileError", "FaultPlan", "Injector", "load"]
