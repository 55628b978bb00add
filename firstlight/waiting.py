"""What a night waits for while no shutter is open, and how far it is: one line for every face."""

from __future__ import annotations

from firstlight.snapshot import NightState, Phase
from firstlight.telling import duration

_FIXED = {
    Phase.PAUSED: "paused; p goes on",
    Phase.FINISHING: "all is shot; finishing the stacks",
    Phase.ENDED: "the night has ended",
    Phase.LIGHTS: "reading out",
    Phase.CALIBRATION: "reading out",
}


def waiting_for(state: NightState) -> str:
    """One line: what the night is at between exposures."""
    match state.phase:
        case Phase.RECONNECTING:
            return f"lost {state.lost}; waiting for it to come back"
        case Phase.COOLING:
            return f"cooling the sensor{_temperature(state)}"
        case Phase.SLEWING:
            return f"slewing to {state.target.name}" if state.target else "slewing"
        case Phase.CLOSING:
            return _closing(state)
        case phase if phase in _FIXED:
            return _FIXED[phase]
        case _:
            return "getting ready" if state.equipment else "connecting to the equipment"


def _temperature(state: NightState) -> str:
    cooler = state.cooler
    if cooler is None:
        return ""
    parts = [f": {cooler.sensor_temp_c:+.1f} → {cooler.target_temp_c:+g} °C"]
    if cooler.power_percent is not None:
        parts.append(f"cooler at {cooler.power_percent:.0f} %")
    if cooler.left_s is not None:
        parts.append(f"at most {duration(cooler.left_s)} more")
    return ", ".join(parts)


def _closing(state: NightState) -> str:
    if state.closing is None:
        return "ending the night"
    words = {"park": "parking", "stop tracking": "stopping", "warm up": "warming up"}
    doing = f"{words[state.closing.action]} {state.closing.device}"
    return doing + _temperature(state) if state.closing.action == "warm up" else doing
