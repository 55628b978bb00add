"""Issue 4's measure: each rung of the STL-1001E's ladder of darks, left out of the fit and predicted."""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from library.dark_model import fit_model
from library.dark_model_file import read_model
from library.dark_model_synthesis import synthesise
from library.frames import FrameKind, FrameRecord
from library.reading import read_frame, read_meta

pytestmark = [pytest.mark.realdata, pytest.mark.slow]


@pytest.fixture(scope="module")
def records(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> list[FrameRecord]:
    """The biases at −10 and −5 °C and the six darks, unpacked."""
    folder, found = tmp_path_factory.mktemp("stl"), []
    for number, packed in enumerate(sorted((realdata / "calib_stl1001").glob("*.gz"))):
        path = folder / packed.stem
        path.write_bytes(gzip.decompress(packed.read_bytes()))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        meta = read_meta(path)
        if meta.kind in {FrameKind.BIAS, FrameKind.DARK}:
            size = path.stat().st_size
            found.append(FrameRecord(id=number, path=path, sha256=digest, size_bytes=size, meta=meta))
    return found


@pytest.mark.parametrize("exposure_s", [10.0, 20.0, 30.0, 60.0, 150.0, 300.0])
def test_a_rung_left_out_is_predicted(records: list[FrameRecord], exposure_s: float, tmp_path: Path) -> None:
    (left_out,) = (record for record in records if record.meta.exposure_s == exposure_s)
    used = [record for record in records if record is not left_out]
    path = tmp_path / "model.fits"
    path.write_bytes(b"".join(fit_model(used, "test")))
    model = read_model(path)
    assert left_out.meta.sensor_temp_c is not None
    dark = synthesise(model, exposure_s, left_out.meta.sensor_temp_c)
    residual = read_frame(left_out.path).pixels - dark.pixels.astype(np.float64)
    signal = np.maximum(dark.pixels - model.whole("BIAS"), 0)
    own_variance = model.noise.read_adu**2 + model.noise.adu_per_e * signal
    pull = residual / np.sqrt(dark.uncertainty.astype(np.float64) ** 2 + own_variance)
    width = 1.4826 * float(np.median(np.abs(pull - np.median(pull))))
    low, high = np.percentile(pull, [15.865, 84.135])
    said = (
        f"{exposure_s:g} s: median {np.median(residual):+.3f} ADU, width {width:.3f}, {(high - low) / 2:.3f}"
    )
    sys.stdout.write(said)
    assert abs(np.median(residual)) < 2.0
    assert 0.9 <= width <= 1.15
    assert 0.9 <= (high - low) / 2 <= 1.15
