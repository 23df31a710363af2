"""Sets of random atoms."""

from dataclasses import replace

import numpy as np

from skmol3d.trainer.data.sets import PackedSet


def random_set(sizes, groups=None, seed=0):
    rng = np.random.default_rng(seed)
    atoms = sum(sizes)
    return PackedSet(
        numbers=rng.choice(np.array([1, 6, 8], np.uint8), atoms),
        positions=rng.integers(-5000, 5000, (atoms, 3)).astype(np.int16),
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        charge=rng.choice([-1.0, 0.0, 1.0], len(sizes)),
        group=np.arange(len(sizes)) if groups is None else np.asarray(groups),
        atom_targets={"charges": rng.normal(size=atoms).astype(np.float16), "label": np.arange(atoms)},
        molecule_targets={"energy": rng.normal(size=len(sizes))},
    )


def labelled_set(sizes=(5, 8, 9, 3, 16, 12, 7, 8), seed=0):
    """A set of random atoms with random labels of all kinds."""
    data, rng = random_set(sizes, seed=seed), np.random.default_rng(seed)
    molecules, atoms = len(sizes), sum(sizes)
    whole = {name: rng.normal(size=molecules) for name in ("energy", "homo", "lumo")}
    whole["dipole"] = rng.normal(size=(molecules, 3))
    own = {"charges": rng.normal(size=atoms), "forces": rng.normal(size=(atoms, 3))}
    return replace(data, atom_targets=own, molecule_targets=whole)
