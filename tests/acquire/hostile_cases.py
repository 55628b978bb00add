"""Ways in which an INDI server can be broken or mean no good, and how a run on it has to end."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from acquire.plan import CameraSettings, End, Equipment, Lights, Options, Plan, Target
from tests.acquire.rigs import CAMERA, MOUNT, WHEEL, Rig, image, numbers, switches, texts, vector

PLAN = Plan(
    name="among thieves",
    equipment=Equipment(camera=CAMERA, filter_wheel=WHEEL, mount=MOUNT),
    camera=CameraSettings(gain=7, readout_timeout_s=40),
    target=Target(name="NGC 869", ra_deg=35.0, dec_deg=57.1),
    lights=(Lights(filter="R", exposure_s=0.1, count=2),),
    options=Options(
        retries=0, settle_s=0, reconnects=2, slew_timeout_s=40, filter_timeout_s=40, reconnect_timeout_s=60
    ),
    end=End(mount="stop"),
)


def camera_alone(settings: CameraSettings) -> Plan:
    return Plan(
        name="alone",
        equipment=Equipment(camera=CAMERA),
        camera=settings,
        lights=(Lights(exposure_s=1, count=1),),
    )


Change = Callable[[Rig], None]


@dataclass(frozen=True)
class Case:
    """A way to be hostile, and how the run must end: "done", or a sentence that holds these words."""

    change: Change
    ends: str
    refused: str = ""
    """Words of a line in the log."""

    plan: Plan = field(default=PLAN)


DONE = "done"


def defined(xml: str) -> Change:
    return lambda rig: rig.define(xml)


def first(xml: str) -> Change:
    """Before the devices are connected."""

    def change(rig: Rig) -> None:
        rig.before["?", str(len(rig.before))] = xml

    return change


def once(act: Callable[[Rig], None]) -> Callable[[Rig], None]:
    """Do it the first time only."""
    acts = [act]
    return lambda rig: acts.pop()(rig) if acts else None


def without(device: str, name: str) -> Change:
    return lambda rig: rig.lack(device, name)


def on(name: str, act: Callable[[Rig], None]) -> Change:
    """Answer an order in another way."""

    def change(rig: Rig) -> None:
        rig.on[name] = lambda _device, _values: act(rig)

    return change


def said(xml: str) -> Callable[[Rig], None]:
    return lambda rig: rig.server.say(xml)


def exposing(*acts: Callable[[Rig], None]) -> Change:
    """An exposure is Busy, and then this happens."""

    def expose(rig: Rig) -> None:
        rig.exposure("Busy", 0.1)
        for act in acts:
            rig.later(0.02, partial(act, rig))

    return on("CCD_EXPOSURE", expose)


def then_as_usual(rig: Rig) -> None:
    rig.blob(image(EXPTIME=0.1))
    rig.exposure("Ok", 0)


def endless_blob(size: int) -> Callable[[Rig], None]:
    def act(rig: Rig) -> None:
        rig.begin_blob(size, b"SIMPLE")

        def more() -> None:
            if rig.server.clients:
                rig.server.say("QUJD" * 500_000)
                rig.later(0.001, more)

        more()

    return act


def many(count: int, xml: Callable[[int], str]) -> Callable[[Rig], None]:
    """So many, a thousand at a time."""

    def act(rig: Rig, start: int = 0) -> None:
        if not rig.server.clients:
            return
        rig.server.say("".join(xml(n) for n in range(start, min(start + 1000, count))))
        if start + 1000 < count:
            rig.later(0.001, lambda: act(rig, start + 1000))

    return act


def raw(data: bytes) -> Callable[[Rig], None]:
    """Bytes that need not be text."""

    def act(rig: Rig) -> None:
        for writer in rig.server._writers:
            writer.write(data)

    return act


def each(*changes: Change) -> Change:
    def change(rig: Rig) -> None:
        for one in changes:
            one(rig)

    return change


LONG = "N" * 10_000
DIGITS = "9" * 5_000
WRONG_EXPOSURE = switches("def", CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=True)
DELETE = '<delProperty device="{}" name="{}"/>\n'

CASES = {
    # -- a property of another type --------------------------------------------------------------
    "exposure is a switch": Case(defined(WRONG_EXPOSURE), "ready has not happened", "it is a switch"),
    "exposure turns into a switch": Case(
        exposing(said(DELETE.format(CAMERA, "CCD_EXPOSURE") + WRONG_EXPOSURE)),
        "it is not connected",
        "switch",
    ),
    "exposure is told as a switch": Case(
        exposing(said(switches("set", CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=True)), then_as_usual), DONE
    ),
    "connection is a number": Case(
        lambda rig: rig.before.__setitem__(
            (CAMERA, "CONNECTION"), numbers("def", CAMERA, "CONNECTION", CONNECT=1, DISCONNECT=0)
        ),
        "being defined has not happened",
        "it is a number",
    ),
    "coordinates are texts": Case(
        defined(texts("def", MOUNT, "EQUATORIAL_EOD_COORD", RA="1", DEC="2")), "powered", "text"
    ),
    "slot is a light": Case(
        defined(
            vector("def", "Light", WHEEL, "FILTER_SLOT", '<defLight name="FILTER_SLOT_VALUE">Ok</defLight>')
        ),
        "powered",
        "light",
    ),
    "filter names are numbers": Case(
        defined(numbers("def", WHEEL, "FILTER_NAME", F1=1, F2=2)),
        'no filter "R" in Wheel; it has 1, 2, 3',
        "text",
    ),
    "park is a number": Case(defined(numbers("def", MOUNT, "TELESCOPE_PARK", PARK=1)), DONE, "number"),
    "gain is a text": Case(defined(texts("def", CAMERA, "CCD_GAIN", GAIN="5")), "no gain", "it is a text"),
    "image is a text": Case(
        each(defined(texts("def", CAMERA, "CCD1", CCD1="x")), exposing(then_as_usual)),
        "has not happened",
        "text",
    ),
    # -- missing elements and properties ---------------------------------------------------------
    "exposure has no value": Case(
        defined(numbers("def", CAMERA, "CCD_EXPOSURE", X=1)), "powered", "no element"
    ),
    "coordinates have no RA": Case(
        defined(numbers("def", MOUNT, "EQUATORIAL_EOD_COORD", DEC=1)), "powered", "no element RA"
    ),
    "slot has no value": Case(defined(numbers("def", WHEEL, "FILTER_SLOT", X=1)), "powered", "no element"),
    "no binning": Case(
        without(CAMERA, "CCD_BINNING"),
        "Cam cannot bin",
        plan=camera_alone(CameraSettings(binning=2)),
    ),
    "no cooler": Case(
        without(CAMERA, "CCD_TEMPERATURE"),
        "Cam has no cooler",
        plan=camera_alone(CameraSettings(temperature_c=-5)),
    ),
    "no gain": Case(without(CAMERA, "CCD_GAIN"), "Cam has no gain that can be set"),
    "no filter of that name": Case(defined(texts("def", WHEEL, "FILTER_NAME", F1="L")), 'no filter "R"'),
    "no filter names at all": Case(defined(vector("def", "Text", WHEEL, "FILTER_NAME", "")), 'no filter "R"'),
    "no image property": Case(each(without(CAMERA, "CCD1"), exposing(then_as_usual)), "has not happened"),
    "no device": Case(lambda rig: rig.before.clear(), "there is no camera"),
    # -- numbers that are none -------------------------------------------------------------------
    "NaN in the mount": Case(
        on("EQUATORIAL_EOD_COORD", said(numbers("set", MOUNT, "EQUATORIAL_EOD_COORD", RA="nan", DEC="nan"))),
        "arriving at the target has not happened",
    ),
    "infinity in the mount": Case(
        on("EQUATORIAL_EOD_COORD", said(numbers("set", MOUNT, "EQUATORIAL_EOD_COORD", RA="inf", DEC="-inf"))),
        "arriving at the target has not happened",
    ),
    "NaN in the wheel": Case(
        on("FILTER_SLOT", said(numbers("set", WHEEL, "FILTER_SLOT", FILTER_SLOT_VALUE="nan"))),
        'turning to "R"',
    ),
    "infinity in gain and its limits": Case(
        defined(numbers("def", CAMERA, "CCD_GAIN", GAIN=("inf", "-inf", "inf"))), DONE
    ),
    "NaN is what gain was set to": Case(
        on("CCD_GAIN", said(numbers("set", CAMERA, "CCD_GAIN", GAIN="nan"))), "asked for gain 7"
    ),
    "NaN seconds left, infinite sensor": Case(
        exposing(
            lambda rig: rig.exposure("Busy", "nan"),
            said(numbers("set", CAMERA, "CCD_TEMPERATURE", CCD_TEMPERATURE_VALUE="inf")),
            then_as_usual,
        ),
        DONE,
    ),
    "an empty number": Case(exposing(lambda rig: rig.exposure("Busy", ""), then_as_usual), DONE),
    "five thousand digits": Case(
        each(
            first(texts("def", "Other", "DRIVER_INFO", DRIVER_INTERFACE=DIGITS)),
            defined(numbers("def", CAMERA, "CCD_INFO", CCD_MAX_X=DIGITS, CCD_MAX_Y="-" + DIGITS)),
            exposing(lambda rig: rig.exposure("Busy", DIGITS), then_as_usual),
        ),
        DONE,
    ),
    "five thousand digits in the image": Case(
        exposing(
            lambda rig: rig.blob(image(NAXIS3=int("9" * 60), EXPTIME="9" * 65)),
            lambda rig: rig.exposure("Ok", 0),
        ),
        "not as ordered",
    ),
    "10^9 filter slots": Case(
        each(
            without(WHEEL, "FILTER_NAME"),
            defined(numbers("def", WHEEL, "FILTER_SLOT", FILTER_SLOT_VALUE=(1, 1, 10**9))),
        ),
        "powered",
        "makes no sense",
    ),
    # -- names ------------------------------------------------------------------------------------
    "surrogates and escapes in names": Case(
        each(
            first(vector("def", "Text", "D", "X", '<defText name="A">&#27;[2J</defText>')),
            exposing(
                raw(
                    b'<defTextVector device="\xed\xa0\x80\xff" name="X\x1b[2J\xff" state="Ok" perm="ro">'
                    b'<defText name="\xff">\xed\xb0\x80</defText></defTextVector>\n'
                    b'<message device="Cam" message="\xff\xed\xa0\x80 hot"/>\n'
                ),
                then_as_usual,
            ),
        ),
        DONE,
    ),
    "surrogates in filter names": Case(
        on(
            "FILTER_SLOT",
            raw(
                b'<setTextVector device="Wheel" name="FILTER_NAME" state="Ok">'
                b'<oneText name="F3">\xed\xa0\x80\xff</oneText></setTextVector>\n'
                b'<setNumberVector device="Wheel" name="FILTER_SLOT" state="Ok">'
                b'<oneNumber name="FILTER_SLOT_VALUE">2</oneNumber></setNumberVector>\n'
            ),
        ),
        DONE,
    ),
    "names of 10,000 characters": Case(
        each(
            first(texts("def", LONG, LONG, **{LONG: LONG})),
            exposing(
                said(f"<message device='{CAMERA}' message='{LONG}'/>"),
                said(texts("def", CAMERA, LONG, **{LONG: LONG})),
                then_as_usual,
            ),
        ),
        DONE,
    ),
    "a line longer than any limit": Case(
        exposing(said(f"<message device='{CAMERA}' message='" + "m" * 2_000_000 + "'/>")),
        "a tag of more than",
    ),
    "a text longer than any limit": Case(
        exposing(said(f"<setTextVector device='{CAMERA}' name='X'><oneText name='X'>" + "t" * 5_000_000)),
        "a text of more than",
    ),
    # -- images ------------------------------------------------------------------------------------
    "a BLOB without end": Case(exposing(endless_blob(6000)), "an image that does not end"),
    "a BLOB without end that declares a lot": Case(
        exposing(endless_blob(10**11)), "an image that does not end"
    ),
    "a BLOB without end of a camera of unknown size": Case(
        each(without(CAMERA, "CCD_INFO"), exposing(endless_blob(10**11))), "image"
    ),
    "a BLOB that stops in the middle": Case(
        exposing(lambda rig: rig.begin_blob(6000, b"SIMPLE")), "has not happened within"
    ),
    "a BLOB that is empty and declares a lot": Case(exposing(lambda rig: rig.blob(b"", 10_000)), ""),
    "a BLOB that is no FITS": Case(
        exposing(lambda rig: rig.blob(os.urandom(9999)), lambda rig: rig.exposure("Ok", 0)),
        "no whole FITS file",
    ),
    "a BLOB for a device that nobody knows": Case(
        exposing(lambda rig: rig.server.say_blob("Nobody", b"x" * 100), then_as_usual), DONE
    ),
    # -- what comes and goes ----------------------------------------------------------------------
    "the camera is deleted in mid-exposure": Case(
        exposing(said(f'<delProperty device="{CAMERA}"/>')),
        "has not come back within 60 s: Cam went away",
    ),
    "the exposure is deleted in mid-exposure": Case(
        exposing(said(DELETE.format(CAMERA, "CCD_EXPOSURE"))), "no CCD_EXPOSURE now"
    ),
    "it hangs up at each exposure": Case(
        exposing(lambda rig: rig.server.hang_up()), "lost 3 times without a frame"
    ),
    "it hangs up when asked anything": Case(
        on("CONNECTION", lambda rig: rig.server.hang_up()), "closed the connection"
    ),
    "it disconnects the camera at each exposure": Case(
        exposing(
            said(switches("set", CAMERA, "CONNECTION", CONNECT=False, DISCONNECT=True)),
            said(DELETE.format(CAMERA, "CCD_EXPOSURE")),
        ),
        "lost 3 times without a frame",
    ),
    # -- too much ---------------------------------------------------------------------------------
    "devices and properties without end": Case(
        exposing(once(many(30_000, lambda n: texts("def", f"D{n}", "X", A="b"))), then_as_usual),
        "",
        "more than 200 devices",
    ),
    "a property with 20,000 elements": Case(
        exposing(said(numbers("def", "D", "X", **{f"E{n}": n for n in range(20_000)})), then_as_usual),
        DONE,
        "more than 1000 elements",
    ),
    "a flood of messages": Case(
        exposing(
            once(many(20_000, lambda n: f'<message device="{CAMERA}" message="message {n}"/>')), then_as_usual
        ),
        "",
    ),
    # -- no XML ------------------------------------------------------------------------------------
    "garbage": Case(exposing(raw(bytes(range(256)) * 50), then_as_usual), ""),
    "unfinished tags": Case(exposing(said("<setNumberVector <<< >>> </nothing>"), then_as_usual), ""),
    "another protocol": Case(first("HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\n<html>"), ""),
}

SLOW = frozenset(
    {
        "10^9 filter slots",
        "NaN in the mount",
        "NaN in the wheel",
        "a BLOB that is empty and declares a lot",
        "a BLOB that stops in the middle",
        "a BLOB without end of a camera of unknown size",
        "a flood of messages",
        "a property with 20,000 elements",
        "another protocol",
        "coordinates are texts",
        "coordinates have no RA",
        "devices and properties without end",
        "exposure has no value",
        "exposure is a switch",
        "exposure turns into a switch",
        "image is a text",
        "infinity in the mount",
        "no image property",
        "slot has no value",
        "slot is a light",
        "the camera is deleted in mid-exposure",
        "the exposure is deleted in mid-exposure",
    }
)
"""Those that run into a timeout, and take seconds although their clock is fast."""
