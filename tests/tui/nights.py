"""A believable night as a list of events, for screens and for the state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

import acquire.events as acq
import livestack.events as stk
from firstlight.asking import Ask
from firstlight.events import (
    AdviceGiven,
    Event,
    MasterBuilt,
    MasterSummary,
    RunStarted,
    StackQueue,
    StackSummary,
    Stamped,
    SubGraded,
    Summary,
)
from livestack.advice import Advice, advise
from livestack.noise_budget import Camera
from livestack.noise_budget import Night as Conditions

START = datetime(2026, 8, 12, 21, 30, tzinfo=UTC)
FILTERS = ("L", "R", "G", "B")
EXPOSURE_S = 120.0
NOISE_ADU = 12.0
CAMERA, WHEEL, MOUNT = "Firstlight CCD", "Firstlight Wheel", "Firstlight Telescope"


class Night:
    """Writes a night down, event by event, with a clock of its own."""

    def __init__(self, root: str = "/night", per_filter: int = 10) -> None:
        self.root, self.per_filter = root, per_filter
        self.time = START
        self.stream: list[Stamped] = []
        self.rng = np.random.default_rng(1)
        self.stacked = dict.fromkeys(FILTERS, 0)
        self.stored = 0
        self.rejected = 0

    def __call__(self, event: Event, after_s: float = 0.0) -> None:
        self.time += timedelta(seconds=after_s)
        self.stream.append(Stamped(time=self.time, run="20260812T213000Z", event=event))

    def lines(self) -> tuple[acq.SequenceLine, ...]:
        calibration = (
            acq.SequenceLine(kind="bias", filter=None, exposure_s=0.001, wanted=20, done=0),
            acq.SequenceLine(kind="dark", filter=None, exposure_s=EXPOSURE_S, wanted=6, done=0),
        )
        lights = tuple(
            acq.SequenceLine(kind="light", filter=f, exposure_s=EXPOSURE_S, wanted=self.per_filter, done=0)
            for f in FILTERS
        )
        return calibration + lights

    def begins(self) -> None:
        self(RunStarted(version="0.1.0", root=self.root, pid=4711, resumed=False))
        self(
            acq.PlanStarted(
                plan_id="p1",
                plan_name="Dumbbell LRGB",
                target="M 27",
                ra_deg=299.9016,
                dec_deg=22.7212,
                lines=self.lines(),
            )
        )
        self(acq.EquipmentReady(camera=CAMERA, filter_wheel=WHEEL, mount=MOUNT, filters=FILTERS), 2)

    def cools(self) -> None:
        for temp in (18.0, 9.5, 1.0, -6.0, -9.6):
            self(acq.CoolingProgress(sensor_temp_c=temp, target_temp_c=-10.0, power_percent=82.0), 20)
        self(acq.CoolingDone(sensor_temp_c=-10.0, target_temp_c=-10.0), 20)
        self(acq.CoolingProgress(sensor_temp_c=-10.0, target_temp_c=-10.0, power_percent=61.0))

    def calibrates(self) -> None:
        for kind, exposure_s, wanted in (("bias", 0.001, 20), ("dark", EXPOSURE_S, 6)):
            for _ in range(wanted):
                self.shoots(kind, None, exposure_s)
            self(
                MasterBuilt(
                    kind=kind,
                    path=f"/night/masters/{kind}.fits",
                    n_frames=wanted,
                    exposure_s=exposure_s,
                    filter=None,
                )
            )

    def slews(self) -> None:
        self(acq.SlewStarted(target="M 27", ra_deg=299.9016, dec_deg=22.7212), 1)
        self(acq.SlewDone(target="M 27", ra_deg=299.9016, dec_deg=22.7212), 25)

    def opens(self, kind: str, filter_name: str | None, exposure_s: float) -> str:
        step = f"{kind}-{filter_name}-{self.stored}"
        self(acq.ExposureStarted(step_id=step, kind=kind, filter=filter_name, exposure_s=exposure_s), 2)
        return step

    def exposes(self, step: str, filter_name: str | None, remaining_s: float, after_s: float) -> None:
        self(
            acq.ExposureProgress(
                step_id=step,
                kind=step.split("-", maxsplit=1)[0],
                filter=filter_name,
                exposure_s=EXPOSURE_S,
                remaining_s=remaining_s,
            ),
            after_s,
        )

    def shoots(self, kind: str, filter_name: str | None, exposure_s: float) -> str:
        step = self.opens(kind, filter_name, exposure_s)
        if exposure_s > 1:
            self.exposes(step, filter_name, exposure_s / 2, exposure_s / 2)
        self.stored += 1
        frame = f"frame{self.stored:04d}"
        path = f"/night/{kind}/{frame}.fits"
        self(
            acq.FrameStored(
                step_id=step,
                frame_id=frame,
                kind=kind,
                filter=filter_name,
                exposure_s=exposure_s,
                sensor_temp_c=-10.0,
                path=path,
            ),
            exposure_s / 2 + 3,
        )
        return frame

    def sub(self, filter_name: str, *, rejected: bool = False) -> None:
        frame = self.shoots("light", filter_name, EXPOSURE_S)
        self(StackQueue(waiting=1))
        if rejected:
            self.rejected += 1
            detail = "only 4 stars found, 8 are needed; a cloud?"
            self(
                stk.SubRejected(
                    frame_id=frame, filter=filter_name, reason="too few stars", detail=detail, seconds=0.3
                ),
                1,
            )
            self(
                SubGraded(
                    frame_id=frame, filter=filter_name, inside=False, by="stack", reason="too few stars"
                )
            )
            return
        self.stacked[filter_name] = n = self.stacked[filter_name] + 1
        fwhm = round(2.6 + 0.25 * float(np.sin(self.stored / 6)) + float(self.rng.normal(0, 0.08)), 3)
        noise = round(NOISE_ADU * (1 + float(self.rng.normal(0, 0.02))), 3)
        self(
            stk.SubAccepted(
                frame_id=frame,
                filter=filter_name,
                n_matches=140 + self.stored % 17,
                rms_px=0.11,
                shift_px=1.5,
                rotation_deg=0.01,
                fwhm_px=fwhm,
                background_adu=812.0,
                noise_adu=noise,
                seconds=0.6,
            ),
            1,
        )
        self(self.grades(frame, filter_name, fwhm, noise))
        self(self.figures(filter_name, n, fwhm))
        self(AdviceGiven(filter=filter_name, advice=self.advice(n)))
        self(
            stk.PictureUpdated(
                filter=filter_name, path=f"{self.root}/{filter_name}.png", width=320, height=240
            )
        )
        self(StackQueue(waiting=0))

    def grades(self, frame: str, filter_name: str, fwhm_px: float, noise_adu: float) -> SubGraded:
        return SubGraded(
            frame_id=frame,
            filter=filter_name,
            inside=True,
            by="rules",
            reason="",
            fwhm_px=fwhm_px,
            roundness=0.93,
            stars=150 + self.stored % 17,
            background_adu=812.0,
            noise_adu=noise_adu,
            transparency=0.97,
            rms_px=0.11,
            weight=0.35,
        )

    def advice(self, n: int) -> Advice:
        return advise(
            Conditions(
                subs=n,
                exposure_s=EXPOSURE_S,
                sub_noise_adu=NOISE_ADU,
                stack_noise_adu=NOISE_ADU / n**0.49,
                raw_noise_adu=2 * NOISE_ADU,
                background_adu=812.0,
                cadence_s=EXPOSURE_S + 8,
            ),
            Camera(e_per_adu=1.5, read_noise_e=3.0),
        )

    def figures(self, filter_name: str, n: int, fwhm_px: float) -> stk.StackUpdated:
        gain = n**0.49
        return stk.StackUpdated(
            filter=filter_name,
            subs=n,
            exposure_s=n * EXPOSURE_S,
            fwhm_px=fwhm_px,
            noise_adu=NOISE_ADU / gain,
            sub_noise_adu=NOISE_ADU,
            snr_gain=gain,
        )

    def lights(self, *, until: int | None = None) -> None:
        for filter_name in FILTERS:
            self(acq.FilterSelected(filter=filter_name), 3)
            for number in range(self.per_filter):
                if until is not None and sum(self.stacked.values()) + self.rejected >= until:
                    return
                self.sub(filter_name, rejected=number == 6 and filter_name in "LG")
            if filter_name == "B":
                self(stk.PictureUpdated(filter=None, path=f"{self.root}/colour.png", width=320, height=240))

    def ends(self, outcome: str = "done", reason: str | None = None) -> None:
        self(acq.PlanEnded(outcome=outcome, reason=reason), 1)
        accepted = sum(self.stacked.values())
        stacks = tuple(
            StackSummary(
                filter=f,
                fits=f"{self.root}/pictures/{f}.fits",
                preview=f"{self.root}/pictures/{f}.png",
                subs=n,
                exposure_s=n * EXPOSURE_S,
                fwhm_px=2.65,
                noise_adu=NOISE_ADU / n**0.49,
                snr_gain=n**0.49,
            )
            for f, n in self.stacked.items()
            if n
        )
        masters = tuple(
            MasterSummary(kind=k, path=f"/night/masters/{k}.fits", n_frames=n)
            for k, n in (("bias", 20), ("dark", 6))
        )
        self(
            Summary(
                outcome=outcome,
                subs_shot=accepted + self.rejected,
                subs_accepted=accepted,
                subs_rejected=self.rejected,
                stacks=stacks,
                masters=masters,
                colour_preview=f"{self.root}/pictures/colour.png",
                seconds=(self.time - START).total_seconds(),
            ),
            4,
        )


def in_progress(root: str = "/night", *, until: int = 27) -> Night:
    """Well into the lights, with an exposure open."""
    night = Night(root)
    night.begins()
    night.cools()
    night.calibrates()
    night.slews()
    night.lights(until=until)
    step = night.opens("light", "G", EXPOSURE_S)
    night.exposes(step, "G", 77.0, 43)
    return night


def whole(root: str = "/night", per_filter: int = 10) -> Night:
    """From the first event to the summary."""
    night = Night(root, per_filter)
    night.begins()
    night.cools()
    night.calibrates()
    night.slews()
    night.lights()
    night.ends()
    return night


def paint(folder: Path) -> None:
    """The previews that the night speaks of: stars and a nebula, made from formulas alone."""
    y, x = np.mgrid[0:240, 0:320].astype(float)
    rng = np.random.default_rng(7)
    stars = np.zeros_like(x)
    for _ in range(90):
        cx, cy, peak = rng.uniform(0, 320), rng.uniform(0, 240), rng.pareto(1.2) * 40
        stars += min(peak, 900) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 5)
    lobe = sum(np.exp(-((x - 160 - s * 14) ** 2 + (y - 120 - s * 18) ** 2) / 700) for s in (-1, 1))
    shells = {"L": 130.0, "R": 150.0, "G": 90.0, "B": 70.0}
    planes = {f: np.clip(12 + shells[f] * lobe + stars, 0, 255).astype(np.uint8) for f in FILTERS}
    for name, plane in planes.items():
        Image.fromarray(plane).save(folder / f"{name}.png")
    colour = np.dstack([planes[f] for f in "RGB"])
    Image.fromarray(colour).save(folder / "colour.png")


class FakeSource:
    """A session that was written down; ``live`` goes on with what is put in, until None."""

    def __init__(self, stream: Sequence[Stamped], *, live: bool = False) -> None:
        self.stream, self.live = stream, live
        self.queue: asyncio.Queue[Stamped | None] = asyncio.Queue()
        self.asked: list[Ask] = []

    async def events(self) -> AsyncIterator[Stamped]:
        for stamped in self.stream:
            yield stamped
        while self.live and (stamped_or_end := await self.queue.get()) is not None:
            yield stamped_or_end

    @property
    def sent(self) -> list[str]:
        return [ask.word for ask in self.asked]

    async def send(self, ask: Ask) -> None:
        self.asked.append(ask)
