"""The INDI wheel and mount against drivers that behave, and drivers that do not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from acquire.altitude import Site
from acquire.coordinates import icrs_to_jnow
from acquire.errors import DeviceError
from acquire.indi.mount import IndiMount
from acquire.indi.wheel import IndiWheel
from tests.acquire.clocks import FakeClock
from tests.acquire.fake_link import FakeLink, Values

WHEEL, MOUNT = "a wheel", "a mount"
WHEN = datetime(2026, 11, 23, tzinfo=UTC)
COORD = "EQUATORIAL_EOD_COORD"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def link(clock: FakeClock) -> FakeLink:
    link = FakeLink(clock)
    link.define(WHEEL, "FILTER_SLOT", {"FILTER_SLOT_VALUE": 1}, limits=(1, 3), state="Ok")
    link.define(
        WHEEL,
        "FILTER_NAME",
        {"FILTER_SLOT_NAME_1": "L", "FILTER_SLOT_NAME_2": "Ha 7nm", "FILTER_SLOT_NAME_3": ""},
    )
    link.define(MOUNT, COORD, {"RA": 1.0, "DEC": 10.0})
    link.define(MOUNT, "ON_COORD_SET", {"TRACK": False, "SLEW": True, "SYNC": False})
    link.define(MOUNT, "TELESCOPE_PARK", {"PARK": True, "UNPARK": False})
    link.define(MOUNT, "TELESCOPE_TRACK_STATE", {"TRACK_ON": False, "TRACK_OFF": True})
    return link


@pytest.fixture
def wheel(link: FakeLink) -> IndiWheel:
    return IndiWheel(link, WHEEL)


@pytest.fixture
def mount(link: FakeLink, clock: FakeClock) -> IndiMount:
    return IndiMount(link, MOUNT, clock, settle_s=5, now=lambda: WHEN)


async def test_filters_by_name(link: FakeLink, wheel: IndiWheel, clock: FakeClock) -> None:
    assert wheel.filters == ("L", "Ha 7nm", "3")

    def turn(name: str, values: Values) -> None:
        link.tell(name, "Busy", FILTER_SLOT_VALUE=1)
        link.tell(name, "Busy", FILTER_SLOT_VALUE=2)
        link.tell(name, "Ok", FILTER_SLOT_VALUE=2)

    link.driver = turn
    await clock.run(wheel.select("Ha 7nm"))
    await clock.run(wheel.select("Ha 7nm"))
    assert link.sent == [("FILTER_SLOT", {"FILTER_SLOT_VALUE": 2})], "it stands there: nothing to send"


async def test_no_such_filter(link: FakeLink, wheel: IndiWheel) -> None:
    with pytest.raises(DeviceError, match='a wheel has no filter "Hb"; it has L, Ha 7nm, 3'):
        await wheel.select("Hb")
    assert link.sent == []


async def test_a_wheel_that_jams(link: FakeLink, wheel: IndiWheel, clock: FakeClock) -> None:
    link.driver = lambda name, values: link.tell(name, "Alert", FILTER_SLOT_VALUE=1)
    with pytest.raises(DeviceError, match='refuses turning to "3"'):
        await clock.run(wheel.select("3"))
    link.driver = link.take
    await clock.run(wheel.select("L"))
    assert link.sent[-1] == ("FILTER_SLOT", {"FILTER_SLOT_VALUE": 1}), (
        "after a jam it stands nowhere for sure"
    )


async def test_a_wheel_that_stops_elsewhere(link: FakeLink, wheel: IndiWheel, clock: FakeClock) -> None:
    link.driver = lambda name, values: link.tell(name, "Ok", FILTER_SLOT_VALUE=1)
    with pytest.raises(DeviceError, match='turning to "3" has not happened'):
        await clock.run(wheel.select("3"))


async def test_a_wheel_that_turns_and_stops_elsewhere(
    link: FakeLink, wheel: IndiWheel, clock: FakeClock
) -> None:
    def turn(name: str, values: Values) -> None:
        link.tell(name, "Busy")
        link.tell(name, "Ok", FILTER_SLOT_VALUE=2)

    link.driver = turn
    with pytest.raises(DeviceError, match=r'turned to slot 2 and not to "3" \(3\)'):
        await clock.run(wheel.select("3"))


async def test_a_slew(link: FakeLink, mount: IndiMount, clock: FakeClock) -> None:
    def drive(name: str, values: Values) -> None:
        if name != COORD:
            link.take(name, values)
            return
        link.tell(COORD, "Ok")  # the driver's last word about where it was
        link.tell(COORD, "Busy", RA=1.5, DEC=30.0)
        link.tell(COORD, "Ok", **dict(values))

    link.driver = drive
    began = clock.monotonic()
    await clock.run(mount.slew(35.0, 57.13))
    assert clock.monotonic() - began == 5, "it settles"
    ra, dec = icrs_to_jnow(35.0, 57.13, WHEN)
    assert link.sent == [
        ("TELESCOPE_PARK", {"UNPARK": True}),
        ("ON_COORD_SET", {"TRACK": True}),
        (COORD, {"RA": ra / 15, "DEC": dec}),
        ("TELESCOPE_TRACK_STATE", {"TRACK_ON": True}),
    ]


async def test_a_mount_that_refuses(link: FakeLink, mount: IndiMount, clock: FakeClock) -> None:
    def refuse(name: str, values: Values) -> None:
        if name == COORD:
            link.say(MOUNT, "below the horizon")
            link.tell(COORD, "Alert")
        else:
            link.take(name, values)

    link.driver = refuse
    with pytest.raises(DeviceError, match="a mount refuses the slew: below the horizon"):
        await clock.run(mount.slew(35.0, 57.13))


async def test_a_mount_that_stops_short(link: FakeLink, mount: IndiMount, clock: FakeClock) -> None:
    def stop_short(name: str, values: Values) -> None:
        if name == COORD:
            link.tell(COORD, "Busy", RA=2.0, DEC=50.0)
            link.tell(COORD, "Ok", RA=2.0, DEC=50.0)
        else:
            link.take(name, values)

    link.driver = stop_short
    with pytest.raises(DeviceError, match=r"stopped \d\.\d° off the target"):
        await clock.run(mount.slew(35.0, 57.13))


async def test_parking(link: FakeLink, mount: IndiMount, clock: FakeClock) -> None:
    link.tell("TELESCOPE_PARK", "Ok", UNPARK=True)
    parked: list[bool] = []

    def drive(name: str, values: Values) -> None:
        link.tell(name, "Busy", PARK=True)
        link.tell(COORD, "Busy")
        parked.append(mount.parked)
        link.tell(name, "Ok", PARK=True)
        parked.append(mount.parked)
        link.tell(COORD, "Idle")

    link.driver = drive
    assert await clock.run(mount.park())
    assert parked == [False, True]
    assert link.sent == [("TELESCOPE_PARK", {"PARK": True})]
    assert await clock.run(mount.park())
    assert len(link.sent) == 1, "it is parked"


async def test_a_mount_that_will_not_or_cannot_park(
    link: FakeLink, mount: IndiMount, clock: FakeClock
) -> None:
    link.tell("TELESCOPE_PARK", "Ok", UNPARK=True)
    link.driver = lambda name, values: link.tell(name, "Alert")
    with pytest.raises(DeviceError, match="refuses parking"):
        await clock.run(mount.park())
    link.mirror.apply({"type": "deleted", "device": MOUNT, "name": "TELESCOPE_PARK"})
    assert not await clock.run(mount.park())
    link.tell("TELESCOPE_TRACK_STATE", "Busy", TRACK_ON=True)
    link.driver = link.take
    await clock.run(mount.stop_tracking())
    assert link.sent[-1] == ("TELESCOPE_TRACK_STATE", {"TRACK_OFF": True})


def test_where_it_stands_and_where_it_looks(link: FakeLink, mount: IndiMount) -> None:
    sites = [mount.site]
    for latitude, longitude in ((0.0, 0.0), (47.7, 11.2)):  # the first is what a driver has before it is told
        link.define(MOUNT, "GEOGRAPHIC_COORD", {"LAT": latitude, "LONG": longitude, "ELEV": 0.0})
        sites.append(mount.site)
    assert sites == [None, None, Site(latitude_deg=47.7, longitude_deg=11.2)]
    ra, dec = icrs_to_jnow(35.0, 57.13, WHEN)
    link.tell(COORD, "Ok", RA=ra / 15, DEC=dec)
    assert mount.off_target_deg(35.0, 57.13) == pytest.approx(0.0, abs=1e-6)
    assert mount.off_target_deg(35.0, 58.13) == pytest.approx(1.0, abs=1e-3)
    link.tell(COORD, "Ok", RA=float("nan"))
    assert mount.off_target_deg(35.0, 57.13) is None


async def test_a_mount_without_a_reading_has_not_arrived(
    link: FakeLink, mount: IndiMount, clock: FakeClock
) -> None:
    link.driver = lambda name, values: (
        link.tell(name, "Ok", RA=float("nan"), DEC=float("inf")) if name == COORD else link.take(name, values)
    )
    with pytest.raises(DeviceError, match="arriving at the target has not happened"):
        await clock.run(mount.slew(35.0, 57.13))
