"""A thermoelectric cooler: takes time, overshoots a little, and has a limit."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.sensor_profile import Cooling


@dataclass(kw_only=True)
class Cooler:
    """The sensor's temperature as time passes, under a PI controller.

    dT/dt = (ambient − T)/τ − power·reach/τ, with power between 0 and 1: full power holds the sensor
    ``reach_c`` below ambient, and nothing gets it colder. The air cools by ``ambient_fall_c_per_h``. With a
    ramp the controller follows a goal that moves no faster than that.
    """

    ambient_c: float = 12.0
    ambient_fall_c_per_h: float = 0.0
    ramp_c_per_min: float = 0.0
    """0: none."""

    reach_c: float = 40.0
    time_constant_s: float = 250.0
    gain_per_c: float = 0.35
    integral_time_s: float = 60.0

    def __post_init__(self) -> None:
        self.temperature_c = self.ambient_c
        self.set_point_c: float | None = None
        self.power = 0.0
        self._integral = 0.0
        self._goal_c = self.ambient_c
        self._at_s = 0.0

    @classmethod
    def of(cls, cooling: Cooling | None) -> Cooler:
        """The cooler of a camera; one that has none follows the air."""
        if cooling is None:
            return cls(reach_c=0.0)
        return cls(reach_c=cooling.reach_c, time_constant_s=cooling.time_constant_s)

    def set(self, set_point_c: float | None) -> None:
        """Ask for a temperature; ``None`` turns the cooler off."""
        self.set_point_c = set_point_c
        self._goal_c = self.temperature_c
        self._integral = self.power if set_point_c is not None else 0.0

    def follow_ramp(self, c_per_min: float) -> None:
        """Move no faster than that; 0 is as fast as it goes."""
        self.ramp_c_per_min = c_per_min

    def advance(self, elapsed_s: float) -> float:
        """Let time pass up to ``elapsed_s`` since the start; the sensor's temperature then."""
        while self._at_s < elapsed_s:
            step_s = min(1.0, elapsed_s - self._at_s)
            self._control(step_s)
            ambient_c = self.ambient_c - self.ambient_fall_c_per_h * self._at_s / 3600.0
            rate = (ambient_c - self.temperature_c - self.power * self.reach_c) / self.time_constant_s
            self.temperature_c += rate * step_s
            self._at_s += step_s
        return self.temperature_c

    def _control(self, step_s: float) -> None:
        if self.set_point_c is None:
            self.power = 0.0
            return
        most_c = self.ramp_c_per_min * step_s / 60.0 if self.ramp_c_per_min > 0 else float("inf")
        self._goal_c += min(max(self.set_point_c - self._goal_c, -most_c), most_c)
        error = self.temperature_c - self._goal_c
        wanted = self.gain_per_c * error + self._integral
        self.power = min(max(wanted, 0.0), 1.0)
        # The integral rests while the power is at a limit, or it would carry the sensor far past its goal.
        if wanted == self.power:
            self._integral += self.gain_per_c * error * step_s / self.integral_time_s
