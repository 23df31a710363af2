"""GFN2-xTB labels of conformers, as ``skmol3d label`` writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from skmol3d.trainer.data.sets import PackedSet


def read_xtb(path: Path | str) -> PackedSet:
    """Read one set of GFN2-xTB labels.

    Parameters
    ----------
    path : Path
        npz with, per conformer, ``offsets``, ``row`` (its molecule), ``total_charge`` (e), ``energy``,
        ``homo`` and ``lumo`` (eV), ``dipole`` (e·Å) and, per atom, ``numbers``, ``positions`` (0.001 Å),
        ``forces`` (eV/Å) and ``charges`` (e). ``kind`` (a `ConformerKind`) may be missing.
    """
    with np.load(path, allow_pickle=False) as data:
        arrays = {k: data[k] for k in data.files}
    names = ["energy", "dipole", "homo", "lumo"] + ["kind"] * ("kind" in arrays)
    return PackedSet(
        numbers=arrays["numbers"],
        positions=arrays["positions"],
        offsets=arrays["offsets"],
        charge=arrays["total_charge"].astype(np.float32),
        group=arrays["row"].astype(np.int64),
        atom_targets={"forces": arrays["forces"], "charges": arrays["charges"]},
        molecule_targets={name: arrays[name] for name in names},
    )
