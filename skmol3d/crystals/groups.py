"""The space groups that crystals are synthesised in, as signs and translations; without spglib."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Group(NamedTuple):
    """A space group whose operations change signs of coordinates and add translations, no more.

    Attributes
    ----------
    number : int
        In the International Tables; in the standard setting, with b as the unique axis.
    signs : ndarray of float, shape [G, 3]
        1 or -1: operations x → signs · x + translations of fractional coordinates x, which in axes with a
        along x, b in the xy plane and the angles of the crystal system are the signs of Cartesian ones, too.
        The identity comes first, centring last.
    translations : ndarray of float, shape [G, 3]
        Fractions of the axes.
    primitive : ndarray of float, shape [3, 3]
        Vectors of a primitive cell as rows, in the axes.
    skew : ndarray of float, shape [3]
        1 where b·x, c·x and c·y of the cell vectors may differ from zero, else 0.
    """

    number: int
    signs: NDArray[np.float64]
    translations: NDArray[np.float64]
    primitive: NDArray[np.float64]
    skew: NDArray[np.float64]

    @property
    def molecules(self) -> int:
        """Of a primitive cell, with one molecule in the asymmetric unit."""
        return len(self.signs) // round(1 / np.linalg.det(self.primitive))


ONE, TWO, CENTRE, MIRROR = (1, 1, 1), (-1, 1, -1), (-1, -1, -1), (1, -1, 1)
SIMPLE = np.eye(3)
FACE = np.array([[0.5, 0.5, 0.0], [-0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
_TABLE: dict[int, tuple[list[tuple], list[tuple], NDArray, tuple]] = {
    1: ([ONE], [(0, 0, 0)], SIMPLE, (1, 1, 1)),
    2: ([ONE, CENTRE], [(0, 0, 0), (0, 0, 0)], SIMPLE, (1, 1, 1)),
    4: ([ONE, TWO], [(0, 0, 0), (0, 0.5, 0)], SIMPLE, (0, 1, 0)),
    14: (
        [ONE, TWO, CENTRE, MIRROR],
        [(0, 0, 0), (0, 0.5, 0.5), (0, 0, 0), (0, 0.5, 0.5)],
        SIMPLE,
        (0, 1, 0),
    ),
    15: (
        [ONE, TWO, CENTRE, MIRROR] * 2,
        [
            *((0, 0, 0), (0, 0, 0.5), (0, 0, 0), (0, 0, 0.5)),
            *((0.5, 0.5, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0.5, 0.5)),
        ],
        FACE,
        (0, 1, 0),
    ),
    19: (
        [ONE, (-1, -1, 1), TWO, (1, -1, -1)],
        [(0, 0, 0), (0.5, 0, 0.5), (0, 0.5, 0.5), (0.5, 0.5, 0)],
        SIMPLE,
        (0, 0, 0),
    ),
}

GROUPS = {
    number: Group(number, np.array(signs, float), np.array(moves, float), cell, np.array(skew, float))
    for number, (signs, moves, cell, skew) in _TABLE.items()
}
"""P1, P-1, P2_1, P2_1/c, C2/c and P2_12_12_1 by their numbers: three quarters of all organic crystals."""
