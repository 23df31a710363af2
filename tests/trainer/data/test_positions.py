"""Coordinates as whole numbers."""

import numpy as np
import pytest

from skmol3d.trainer.data.positions import integer_positions


def test_positions_that_would_wrap_around_are_refused():
    line = np.array([[0.0, 0, 0], [65.53, 0, 0]])
    assert np.ptp(integer_positions(line)[:, 0].astype(int)) == 65530
    with pytest.raises(ValueError, match=r"an atom 33\.0 Å from the centroid; packed .* end at 32\.767"):
        integer_positions(line * 66 / 65.53)
    with pytest.raises(ValueError, match="an atom nan Å"):
        integer_positions(line * np.nan)
