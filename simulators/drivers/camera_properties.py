"""The camera's properties, as libindi's ``INDI::CCD`` defines them."""

from __future__ import annotations

from typing import Any

from indipydriver import BLOBMember, BLOBVector

from simulators.drivers import FOCUSER, MOUNT, PANEL, WHEEL
from simulators.drivers.base import IMAGE, INFO, MAIN, OPTIONS, Number, numbers, switches, texts
from simulators.sensor import SensorProfile


class CameraProperties:
    """One attribute per property, ``None`` for one that this camera lacks; ``all`` in the order in which
    they are defined."""

    def __init__(self, profile: SensorProfile, ambient_c: float) -> None:
        w, h, um = profile.width, profile.height, profile.pixel_um
        self.exposure = numbers(
            "CCD_EXPOSURE",
            "Expose",
            MAIN,
            [Number("CCD_EXPOSURE_VALUE", "Duration (s)", "%5.2f", profile.shortest_s, 3600, 1, 1)],
        )
        self.abort = switches("CCD_ABORT_EXPOSURE", "Abort", MAIN, {"ABORT": "Abort"}, None, rule="AtMostOne")
        self.temperature = numbers(
            "CCD_TEMPERATURE",
            "Temperature",
            MAIN,
            [Number("CCD_TEMPERATURE_VALUE", "Temperature (C)", "%5.2f", -50, 50, 0, ambient_c)],
            perm="rw" if profile.cooling else "ro",
        )
        self.temperature_ramp: Any = profile.cooling and numbers(
            "CCD_TEMP_RAMP",
            "Temp. Ramp",
            MAIN,
            [
                Number("RAMP_SLOPE", "Max. dT (C/min)", "%.f", 0, 30, 1, 0),
                Number("RAMP_THRESHOLD", "Threshold (C)", "%.1f", 0.1, 2, 0.1, 0.3),
            ],
        )
        self.cooler: Any = profile.cooling and switches(
            "CCD_COOLER", "Cooler", MAIN, {"COOLER_ON": "ON", "COOLER_OFF": "OFF"}, "COOLER_OFF"
        )
        self.cooler_power: Any = profile.cooling and numbers(
            "CCD_COOLER_POWER",
            "Cooling Power",
            MAIN,
            [Number("CCD_COOLER_VALUE", "Power (%)", "%+06.2f", 0, 100, 5, 0)],
            perm="ro",
        )
        self.gain: Any = profile.gain and numbers(
            "CCD_GAIN",
            "Gain",
            MAIN,
            [Number("GAIN", "value", "%.f", 0, profile.gain.largest, 10, profile.gain.default)],
        )
        self.offset: Any = profile.offset and numbers(
            "CCD_OFFSET",
            "Offset",
            MAIN,
            [Number("OFFSET", "value", "%.f", 0, profile.offset.largest, 1, profile.offset.default)],
        )
        self.read_mode: Any = None
        if len(profile.modes) > 1:
            modes = {f"MODE_{n}": mode.name for n, mode in enumerate(profile.modes)}
            self.read_mode = switches("READ_MODE", "Read Mode", MAIN, modes, "MODE_0")
        self.frame = numbers(
            "CCD_FRAME",
            "Frame",
            IMAGE,
            [
                Number("X", "Left ", "%4.0f", 0, w - 1, 0, 0),
                Number("Y", "Top", "%4.0f", 0, h - 1, 0, 0),
                Number("WIDTH", "Width", "%4.0f", 4, w, 0, w),
                Number("HEIGHT", "Height", "%4.0f", 4, h, 0, h),
            ],
        )
        self.frame_reset = switches("CCD_FRAME_RESET", "Frame Values", IMAGE, {"RESET": "Reset"}, None, "wo")
        self.binning = numbers(
            "CCD_BINNING",
            "Binning",
            IMAGE,
            [
                Number("HOR_BIN", "X", "%2.0f", 1, 4, 1, 1),
                Number("VER_BIN", "Y", "%2.0f", 1, 4, 1, 1),
            ],
        )
        kinds = {f"FRAME_{kind.upper()}": kind for kind in ("Light", "Bias", "Dark", "Flat")}
        self.frame_type = switches("CCD_FRAME_TYPE", "Type", IMAGE, kinds, "FRAME_LIGHT")
        self.compression = switches(
            "CCD_COMPRESSION",
            "Compression",
            IMAGE,
            {"INDI_ENABLED": "Enabled", "INDI_DISABLED": "Disabled"},
            "INDI_DISABLED",
        )
        self.transfer_format = switches(
            "CCD_TRANSFER_FORMAT",
            "Encode",
            IMAGE,
            {"FORMAT_FITS": "FITS", "FORMAT_NATIVE": "Native"},
            "FORMAT_FITS",
        )
        self.info = numbers(
            "CCD_INFO",
            "CCD Information",
            INFO,
            [
                Number("CCD_MAX_X", "Max. Width", "%.f", 1, 16000, 0, w),
                Number("CCD_MAX_Y", "Max. Height", "%.f", 1, 16000, 0, h),
                Number("CCD_PIXEL_SIZE", "Pixel size (um)", "%.2f", 1, 40, 0, um),
                Number("CCD_PIXEL_SIZE_X", "Pixel size X", "%.2f", 1, 40, 0, um),
                Number("CCD_PIXEL_SIZE_Y", "Pixel size Y", "%.2f", 1, 40, 0, um),
                Number("CCD_BITSPERPIXEL", "Bits per pixel", "%.f", 8, 64, 0, 16),
            ],
            perm="ro",
        )
        self.adc_depth = numbers(
            "ADC_DEPTH",
            "ADC Depth",
            INFO,
            [Number("BITS", "Bits", "%2.0f", 0, 32, 1, profile.adc_bits)],
            perm="ro",
        )
        self.cfa: Any = profile.bayer and texts(
            "CCD_CFA",
            "Bayer Info",
            INFO,
            {
                "CFA_OFFSET_X": ("X Offset", "0"),
                "CFA_OFFSET_Y": ("Y Offset", "0"),
                "CFA_TYPE": ("Filter", profile.bayer),
            },
            perm="ro",
        )
        self.blob = BLOBVector(
            "CCD1", "Image Data", INFO, "ro", "Idle", [BLOBMember("CCD1", "Image", blobformat=".fits")]
        )
        self.fits_header = texts(
            "FITS_HEADER",
            "FITS Header",
            "General Info",
            {"FITS_OBSERVER": ("Observer", "Unknown"), "FITS_OBJECT": ("Object", "Unknown")},
        )
        self.active_devices = texts(
            "ACTIVE_DEVICES",
            "Snoop devices",
            OPTIONS,
            {
                "ACTIVE_TELESCOPE": ("Telescope", MOUNT),
                "ACTIVE_FILTER": ("Filter", WHEEL),
                "ACTIVE_FOCUSER": ("Focuser", FOCUSER),
                "ACTIVE_FLAT": ("Flat panel", PANEL),
            },
        )
        self.upload_mode = switches(
            "UPLOAD_MODE",
            "Upload",
            OPTIONS,
            {"UPLOAD_CLIENT": "Client", "UPLOAD_LOCAL": "Local", "UPLOAD_BOTH": "Both"},
            "UPLOAD_CLIENT",
        )

    def all(self) -> list[Any]:
        """Every vector that there is."""
        return [vector for vector in vars(self).values() if vector is not None]

    def read_mode_number(self) -> int:
        """Which of the profile's read modes is set."""
        if self.read_mode is None:
            return 0
        return [self.read_mode[name] for name in self.read_mode].index("On")
