"""The standard orientation of a molecule, and rotation vectors."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations_with_replacement, product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]

TIE = 0.01
"""Å: atoms whose distances from an axis or the centre differ by less are equally far. Molecules in crystals
are symmetric to about this."""

DEGENERATE = 0.01
"""Moments of inertia that differ by less than this share of the largest are equal."""

MOMENT_TIE = 3e-3
"""Moments of the scaled geometry that differ by less do not tell two frames apart."""

SIGNS = np.array(list(product((1.0, -1.0), repeat=3)))
POWERS = [p for order in (1, 2, 3, 4) for p in combinations_with_replacement(range(3), order)]


def principal_frames(numbers: NDArray[np.integer], offsets: Floats) -> Floats:
    """Find the frames of a molecule's standard orientation.

    The axes are those of the inertia tensor of the heavy atoms with unit masses, by ascending moment, each
    signed to overlap with the vector from their centre to the farthest of them. Molecules with fewer than
    three heavy atoms, or with all of them on a line, use all atoms. Where this leaves a choice, axes within a
    plane (symmetric tops) or space (spherical tops) of equal moments point to the farthest atoms, and of the
    frames that remain those are kept in which the moments of the geometry up to the fourth are largest.
    Frames that a symmetry of the molecule carries over into each other all stay.

    Parameters
    ----------
    numbers : ndarray of int, shape [N]
        Atomic numbers.
    offsets : ndarray, shape [N, 3]
        Positions relative to any centre of the molecule, Å.

    Returns
    -------
    ndarray, shape [K, 3, 3]
        The three axes as rows of each frame, in descending order of these moments; right-handed
        (determinant 1) or left-handed (-1). A single atom has none (K = 0); the last two axes of linear
        molecules are zero.
    """
    points = orienting_points(numbers, offsets)
    distances = np.linalg.norm(points, axis=1)
    if distances.max() < TIE:
        return np.empty((0, 3, 3))
    # Ascending moments of inertia are descending eigenvalues of the covariance.
    spread, vectors = np.linalg.eigh(points.T @ points)
    moments = (spread.sum() - spread)[::-1]
    axes = vectors.T[::-1]
    if _is_linear(points):
        frames = np.zeros((2, 3, 3))
        frames[:, 0] = axes[0], -axes[0]
    else:
        low, high = np.diff(moments) < DEGENERATE * moments[2]
        bases = list(_bases(points, axes, bool(low), bool(high)))
        frames = np.concatenate([SIGNS[:, :, None] * basis for basis in bases])
        farthest = points[distances > distances.max() - TIE]
        overlaps = farthest @ frames.transpose(0, 2, 1)
        frames = frames[(overlaps > -TIE).all(2).any(1)]
    return frames[_largest_moments(numbers, offsets, frames)]


def orienting_points(numbers: NDArray[np.integer], offsets: Floats) -> Floats:
    """Positions [n, 3], relative to their own centre, of the atoms whose inertia decides the orientation."""
    points = offsets[numbers > 1]
    if len(points) < 3 or _is_linear(points):
        points = offsets
    return points - points.mean(0)


def _is_linear(points: Floats) -> bool:
    centred = points - points.mean(0)
    return bool(np.linalg.svd(centred, compute_uv=False)[1] < TIE * np.sqrt(len(points)))


def _bases(points: Floats, axes: Floats, low: bool, high: bool) -> Iterable[Floats]:
    """Yield axes by ascending moment, without signs; `low` or `high` ones of the moments may be equal."""
    if low and high:
        for first in _towards_farthest(points):
            for second in _towards_farthest(points - np.outer(points @ first, first)):
                yield np.stack([first, second, np.cross(first, second)])
    elif low:
        for first in _towards_farthest(points - np.outer(points @ axes[2], axes[2])):
            yield np.stack([first, np.cross(axes[2], first), axes[2]])
    elif high:
        for second in _towards_farthest(points - np.outer(points @ axes[0], axes[0])):
            yield np.stack([axes[0], second, np.cross(axes[0], second)])
    else:
        yield axes


def _towards_farthest(points: Floats) -> Floats:
    distances = np.linalg.norm(points, axis=1)
    chosen = distances > distances.max() - TIE
    return points[chosen] / distances[chosen, None]


def _largest_moments(numbers: NDArray[np.integer], offsets: Floats, frames: Floats) -> NDArray[np.intp]:
    centred = offsets - offsets.mean(0)
    scaled = centred / np.linalg.norm(centred, axis=1).max()
    seen = scaled @ frames.transpose(0, 2, 1)
    weights = numbers / numbers.sum()
    moments = np.stack([np.einsum("n,kn->k", weights, seen[..., list(p)].prod(-1)) for p in POWERS], 1)
    kept = lexicographic_minimum(-moments, MOMENT_TIE)
    return kept[np.lexsort(np.round(-moments[kept], 6).T[::-1])]


def lexicographic_minimum(keys: Floats, tie: float | Floats) -> NDArray[np.intp]:
    """Indices of the smallest rows of keys [K, n], where columns that differ by less than `tie` are equal."""
    left = np.arange(len(keys))
    for column, tolerance in zip(keys.T, np.broadcast_to(tie, keys.shape[1]), strict=True):
        left = left[column[left] <= column[left].min() + tolerance]
    return left


def rotation_vectors(rotations: Floats) -> Floats:
    """Rotation vectors (rad) of rotation matrices [K, 3, 3], with z ≥ 0 and a norm below 2π.

    The same rotation has the vectors n·θ and -n·(2π - θ). Where z is zero, the shorter one is taken; for
    half turns about such axes, the one with x, or else y, positive.
    """
    vectors = Rotation.from_matrix(rotations).as_rotvec()
    norms = np.linalg.norm(vectors, axis=1)
    flat = np.abs(vectors[:, 2]) < 1e-6
    vectors[flat, 2] = 0.0
    half = flat & (norms > np.pi - 1e-6)
    first = np.where(np.abs(vectors[:, 0]) > 1e-6, vectors[:, 0], vectors[:, 1])
    flip = np.where(flat, half & (first < 0), vectors[:, 2] < 0)
    vectors[flip] *= (1 - 2 * np.pi / norms[flip])[:, None]
    return vectors


def rotation_matrix(vector: Floats) -> Floats:
    """Rotation matrix [3, 3] of a rotation vector [3] (rad)."""
    return Rotation.from_rotvec(vector).as_matrix()
