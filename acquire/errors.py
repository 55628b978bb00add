"""The acquisition room's errors; each names the device or file and what to do next."""


class AcquireError(Exception):
    """Base of every error that a user can act on."""


class PlanError(AcquireError):
    """A plan that cannot be read or cannot be shot; says which key and why."""


class ServerUnreachableError(AcquireError):
    """No INDI server answers at the address given."""


class DeviceMissingError(AcquireError):
    """A device that the plan needs is not on the server; lists those that are."""


class DeviceError(AcquireError):
    """A device refused, went into Alert, or did not answer in time."""


class DeviceLostError(DeviceError):
    """The connection to the device went away during an operation; it may come back."""


class OutOfTimeError(DeviceError):
    """A device did not get there in the time that the plan allows; trying again would not help."""


class FrameRefusedError(AcquireError):
    """A frame that was kept aside and does not count: its step is shot again, as after a failed exposure."""


class HopelessError(AcquireError):
    """The plan cannot go on: what every later frame depends on keeps failing."""


class ExposureFailedError(DeviceError):
    """An exposure gave no usable frame: aborted, Alert, or a BLOB that came short."""
