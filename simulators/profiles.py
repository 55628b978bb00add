"""Cameras by name. Where the numbers come from: docs/simulator/sensor.md."""

from __future__ import annotations

from dataclasses import replace

from simulators.sensor_profile import Cooling, Glow, Leakers, ReadMode, SensorProfile, Setting

DEMO = SensorProfile()

ASI1600MM = SensorProfile(
    name="ASI1600MM",
    width=4656,
    height=3520,
    pixel_um=3.8,
    modes=(
        ReadMode(
            e_per_adu=((0, 5.0), (75, 2.0), (139, 1.0), (200, 0.6), (300, 0.2)),
            read_noise_e=((0, 3.6), (75, 2.2), (139, 1.6), (200, 1.3), (300, 1.2)),
            full_well_e=20_000.0,
        ),
    ),
    gain=Setting(largest=300, default=139),
    offset=Setting(largest=100, default=50),
    adc_bits=12,
    adu_per_offset_step=1.0,
    column_adu=0.4,
    pixel_adu=0.3,
    row_noise_e=0.25,
    prnu=0.008,
    dark_e_s=0.008,
    dark_sigma=0.4,
    dark_reference_c=-15.0,
    dark_doubling_c=6.2,
    leakers=(
        Leakers(share=0.002, median_e_s=0.08, sigma=0.8, doubling_c=6.2),
        Leakers(share=0.0002, median_e_s=1.5, sigma=1.2, doubling_c=7.0),
    ),
    glow=Glow(
        e_at_300_s=60.0,
        exponent=0.8,
        sources=((1.0, 0.08, 0.05, 0.05, 1.0), (1.0, 0.92, 0.05, 0.05, 0.9), (0.0, 0.5, 0.02, 0.3, 0.2)),
    ),
    flicker_share=0.005,
    flicker_e=6.0,
    cosmic_rays_per_s=0.04,
    shortest_s=0.000032,
    cooling=Cooling(reach_c=42.0, time_constant_s=220.0),
)

ASI2600MM = SensorProfile(
    name="ASI2600MM",
    width=6248,
    height=4176,
    modes=(
        ReadMode(
            e_per_adu=((0, 0.76), (450, 0.76 * 10**-2.25)),
            read_noise_e=((0, 3.3), (99, 2.9), (100, 1.5), (300, 1.1), (450, 1.0)),
            full_well_e=50_000.0,
        ),
    ),
    gain=Setting(largest=450, default=100),
    offset=Setting(largest=240, default=50),
    adu_per_offset_step=10.0,
    column_adu=0.5,
    pixel_adu=0.5,
    row_noise_e=0.06,
    prnu=0.004,
    dark_e_s=0.002,
    dark_sigma=0.5,
    dark_doubling_c=6.0,
    leakers=(
        Leakers(share=0.0003, median_e_s=0.05, sigma=0.9, doubling_c=6.0),
        Leakers(share=0.00002, median_e_s=1.0, sigma=1.2, doubling_c=7.0),
    ),
    flicker_share=0.01,
    flicker_e=5.0,
    cosmic_rays_per_s=0.06,
    shortest_s=0.000032,
    cooling=Cooling(reach_c=35.0, time_constant_s=240.0),
)

ASI2600MC = replace(ASI2600MM, name="ASI2600MC", bayer="RGGB")

ASI294MC = SensorProfile(
    name="ASI294MC",
    width=4144,
    height=2822,
    pixel_um=4.63,
    bayer="RGGB",
    modes=(
        ReadMode(
            e_per_adu=((0, 3.89), (390, 3.89 * 10**-1.95)),
            read_noise_e=((0, 7.3), (119, 6.2), (120, 1.9), (390, 1.2)),
            full_well_e=63_700.0,
        ),
    ),
    gain=Setting(largest=390, default=120),
    offset=Setting(largest=80, default=30),
    adc_bits=14,
    column_adu=0.6,
    pixel_adu=0.5,
    row_noise_e=0.25,
    prnu=0.008,
    dark_e_s=0.007,
    dark_sigma=0.4,
    dark_doubling_c=6.0,
    leakers=(
        Leakers(share=0.002, median_e_s=0.08, sigma=0.9, doubling_c=6.0),
        Leakers(share=0.0001, median_e_s=1.5, sigma=1.2, doubling_c=7.0),
    ),
    glow=Glow(
        e_at_300_s=220.0,
        exponent=1.25,
        sources=((1.0, 0.35, 0.12, 0.1, 1.0), (1.0, 0.98, 0.08, 0.05, 0.5), (0.0, 0.02, 0.05, 0.05, 0.3)),
    ),
    flicker_share=0.01,
    flicker_e=6.0,
    cosmic_rays_per_s=0.04,
    shortest_s=0.000032,
    cooling=Cooling(reach_c=35.0, time_constant_s=220.0),
)

ASI6200MM = replace(
    ASI2600MM,
    name="ASI6200MM",
    width=9576,
    height=6388,
    modes=(
        ReadMode(
            e_per_adu=((0, 0.78), (450, 0.78 * 10**-2.25)),
            read_noise_e=((0, 3.5), (99, 3.0), (100, 1.5), (300, 1.2), (450, 1.1)),
            full_well_e=51_000.0,
        ),
    ),
    dark_e_s=0.011,
    leakers=(
        Leakers(share=0.00024, median_e_s=0.3, sigma=1.0, doubling_c=6.0),
        Leakers(share=0.00001, median_e_s=5.0, sigma=1.0, doubling_c=7.0),
    ),
    flicker_share=0.02,
    flicker_e=6.0,
    cosmic_rays_per_s=0.14,
)

QHY600M = replace(
    ASI6200MM,
    name="QHY600M",
    modes=(
        ReadMode(
            name="Photographic DSO",
            e_per_adu=((0, 0.8), (100, 0.28), (200, 0.05)),
            read_noise_e=((0, 3.5), (25, 3.4), (26, 2.7), (60, 1.8), (200, 1.5)),
            full_well_e=51_000.0,
        ),
        ReadMode(
            name="High Gain",
            e_per_adu=((0, 0.8), (55, 0.45), (56, 0.33), (100, 0.15), (200, 0.04)),
            read_noise_e=((0, 3.7), (55, 3.3), (56, 1.6), (200, 1.1)),
            full_well_e=51_000.0,
        ),
        ReadMode(
            name="Extended Fullwell",
            e_per_adu=((0, 1.25), (100, 0.45), (200, 0.08)),
            read_noise_e=((0, 7.4), (100, 5.0), (200, 4.2)),
            full_well_e=80_000.0,
        ),
    ),
    gain=Setting(largest=200, default=26),
    offset=Setting(largest=255, default=30),
)

KAF8300 = SensorProfile(
    name="KAF-8300",
    width=3326,
    height=2504,
    pixel_um=5.4,
    modes=(ReadMode(e_per_adu=((0, 0.37),), read_noise_e=((0, 9.3),), full_well_e=25_500.0),),
    gain=None,
    offset=None,
    pedestal_adu=1000.0,
    column_adu=1.0,
    ramp_adu=6.0,
    row_noise_e=0.5,
    prnu=0.01,
    dark_e_s=0.04,
    dark_sigma=0.3,
    dark_doubling_c=5.8,
    leakers=(
        Leakers(share=0.005, median_e_s=0.4, sigma=0.9, doubling_c=5.8),
        Leakers(share=0.0003, median_e_s=10.0, sigma=1.0, doubling_c=6.5),
    ),
    binning="charge",
    cosmic_rays_per_s=0.04,
    shortest_s=0.1,
    cooling=Cooling(reach_c=38.0, time_constant_s=300.0),
)

STL1001E = SensorProfile(
    name="STL-1001E",
    width=1024,
    height=1024,
    pixel_um=24.0,
    modes=(ReadMode(e_per_adu=((0, 1.941),), read_noise_e=((0, 12.7),), full_well_e=150_000.0),),
    gain=None,
    offset=None,
    pedestal_adu=990.1,
    exposed_adu=0.68,
    column_adu=0.3,
    pixel_adu=0.3,
    ramp_adu=14.0,
    ramp_px=110.0,
    row_noise_e=0.45,
    prnu=0.005,
    dark_e_s=0.3235,
    dark_sigma=0.22,
    dark_reference_c=-10.2,
    dark_doubling_c=4.95,
    leakers=(
        Leakers(share=0.06, median_e_s=0.22, sigma=0.5, doubling_c=4.95),
        Leakers(share=0.014, median_e_s=3.5, sigma=0.63, doubling_c=4.95),
        Leakers(share=0.001, median_e_s=32.0, sigma=1.0, doubling_c=5.5),
    ),
    binning="charge",
    cosmic_rays_per_s=0.1,
    shortest_s=0.11,
    cooling=Cooling(reach_c=35.0, time_constant_s=400.0),
)

ASI290MM = SensorProfile(
    name="ASI290MM",
    width=1936,
    height=1096,
    pixel_um=2.9,
    modes=(
        ReadMode(
            e_per_adu=((0, 3.584), (600, 3.584 * 10**-3)),
            read_noise_e=((0, 3.2), (59, 2.9), (60, 1.7), (110, 1.5), (300, 1.0), (400, 0.95)),
            full_well_e=14_600.0,
        ),
    ),
    gain=Setting(largest=600, default=110),
    offset=Setting(largest=240, default=20),
    adc_bits=12,
    pedestal_adu=-1.0,
    adu_per_offset_step=1.0,
    column_adu=0.2,
    pixel_adu=0.2,
    row_noise_e=0.1,
    prnu=0.006,
    dark_e_s=0.3,
    dark_sigma=0.4,
    dark_reference_c=20.0,
    dark_doubling_c=6.0,
    leakers=(Leakers(share=0.001, median_e_s=10.0, sigma=1.2, doubling_c=7.0),),
    glow=Glow(e_at_300_s=150.0, exponent=0.9, sources=((0.0, 1.0, 0.1, 0.1, 1.0),)),
    flicker_share=0.005,
    flicker_e=4.0,
    cosmic_rays_per_s=0.003,
    shortest_s=0.000032,
    cooling=None,
)

PROFILES = {
    p.name: p
    for p in (
        *(DEMO, ASI1600MM, ASI2600MM, ASI2600MC, ASI294MC, ASI6200MM, QHY600M),
        *(KAF8300, STL1001E, ASI290MM),
    )
}


def profile(name: str) -> SensorProfile:
    """The camera of a name: case, hyphens and blanks do not count, and a beginning that fits one is enough.

    :raises ValueError: with the names that there are.
    """
    wanted = _plain(name)
    fitting = [p for known, p in PROFILES.items() if _plain(known) == wanted] or [
        p for known, p in PROFILES.items() if wanted and _plain(known).startswith(wanted)
    ]
    if len(fitting) != 1:
        trouble = "fits several cameras" if fitting else "is no camera here"
        raise ValueError(f"{name!r} {trouble}; there are {', '.join(PROFILES)}")
    return fitting[0]


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace(" ", "")
