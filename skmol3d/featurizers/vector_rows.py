"""Mo3ENet's vector rows: 3K coordinates (of all vectors x, then y, then z), then K scalars; and atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from skmol3d.encoders.mo3enet.autoencoder import Autoencoder

ORTHOGONAL = 1e-4
"""Largest deviation of R Rᵀ from the identity: matrices may come in single precision."""


def split_rows(rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Vectors [n, 3, K] and scalars [n, K] of rows [n, 4K]."""
    width = rows.shape[1]
    if width % 4:
        raise ValueError(f"vector rows have 3K coordinates and K scalars; {width} columns do not divide by 4")
    coordinates = 3 * width // 4
    return rows[:, :coordinates].reshape(len(rows), 3, width // 4), rows[:, coordinates:]


def rotate_rows(rows: NDArray[np.float32], R: Any) -> NDArray[np.float32]:
    """Rows whose vectors v went to R v, of one orthogonal matrix [3, 3] or one for each row [n, 3, 3].

    Raises
    ------
    ValueError
        If `R` has another shape, or holds a matrix that is not orthogonal (named by its place).
    """
    matrices = np.asarray(R, np.float64)
    if matrices.shape not in ((3, 3), (len(rows), 3, 3)):
        raise ValueError(f"R must have shape [3, 3] or [{len(rows)}, 3, 3]; got {list(matrices.shape)}")
    excess = np.abs(matrices @ matrices.swapaxes(-1, -2) - np.eye(3)).max(axis=(-1, -2))
    wrong = np.flatnonzero(~(np.atleast_1d(excess) <= ORTHOGONAL))  # NaN is wrong, too
    if len(wrong):
        which = "R" if matrices.ndim == 2 else f"R[{wrong[0]}]"
        raise ValueError(f"{which} is not orthogonal: R @ R.T differs from the identity")
    vectors, scalars = split_rows(rows)
    turned = (matrices @ vectors).astype(np.float32)
    return np.concatenate([turned.reshape(len(rows), 3 * scalars.shape[1]), scalars], axis=1)


def decode_rows(rows: NDArray[np.float32], encoder: Autoencoder, device: torch.device) -> list[Any]:
    """Decode finite rows to `ase.Atoms`, those of a swarm without atoms empty."""
    import torch
    from ase import Atoms

    from skmol3d.encoders.mo3enet.decoder import Embedding

    vectors, scalars = (torch.from_numpy(part).to(device) for part in split_rows(rows))
    with torch.inference_mode():
        found = encoder.atoms(encoder.decode(Embedding(scalars, vectors)))
    ends = np.cumsum(found.counts.cpu().numpy())[:-1]
    numbers, positions = found.numbers.cpu().numpy(), found.positions.double().cpu().numpy()
    pairs = zip(np.split(numbers, ends), np.split(positions, ends), strict=True)
    return [Atoms(numbers=z, positions=x) for z, x in pairs]


def with_bonds(atoms: Any) -> Any:
    """RDKit molecule of neutral `ase.Atoms` with perceived bonds; ValueError if none can be."""
    from rdkit import Chem
    from rdkit.Chem import rdDetermineBonds

    from skmol3d.structures.errors import rdkit_errors

    lines = [f"{a.symbol} {a.x:.6f} {a.y:.6f} {a.z:.6f}" for a in atoms]
    with rdkit_errors():
        mol = Chem.MolFromXYZBlock("\n".join([str(len(lines)), "", *lines, ""]))
        rdDetermineBonds.DetermineBonds(mol, charge=0)
    return mol
