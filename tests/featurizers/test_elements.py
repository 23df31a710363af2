"""Elements that a checkpoint does not know."""

import numpy as np

from skmol3d.featurizers.elements import unknown_elements


def test_the_unknown_are_named_once_and_beside_those_that_are_known():
    numbers = np.array([8, 26, 1, 26, 6, 3], np.uint8)
    reason = unknown_elements(numbers, (8, 1, 6))
    assert reason == "Li, Fe: not among the elements the model knows (H, C, O)"
    assert unknown_elements(numbers, (1, 3, 6, 8, 26)) is None
