"""Glow at the limits of what the dark model's law takes for glow."""

from __future__ import annotations

import numpy as np
import pytest

from library.dark_model_law import Exposures, fit_law


@pytest.mark.parametrize(("exponent", "limit"), [(0.05, 0.3), (3.2, 2.5)])
def test_glow_beyond_the_limits_is_taken_as_far_as_they_go(exponent: float, limit: float) -> None:
    """Light of the readout hardly grows with the exposure: at the limit there is still an error to state."""
    rng = np.random.default_rng(2)
    t, c = np.array([(t, c) for c in (-20.0, -10.0, 0.0) for t in (0.0, 30.0, 100.0, 300.0)]).T
    glow = np.zeros(100)
    glow[:15] = rng.uniform(20, 60, 15)
    means = 500 + rng.normal(0, 2, 100) + np.outer(t * 2 ** ((c + 10) / 6.0), rng.uniform(0.1, 0.3, 100))
    means += np.outer(np.where(t > 0, (t / 300.0) ** exponent, 0.0), glow) + rng.normal(0, 0.05, means.shape)
    shots = Exposures(exposure_s=t, temp_c=c, exposed=t > 0, frames=np.ones(len(t)))
    law = fit_law(means, shots, np.full(len(t), 0.05), read_noise_adu=1.6).law
    assert law.glow_exponent == pytest.approx(limit, abs=0.01)
    assert np.isfinite([law.slope_error, law.curvature_error]).all()
    assert law.slope_error > 0
