"""Synthetic crystals of a few molecules."""

from pathlib import Path

import numpy as np
from ase.build import molecule

from skmol3d.trainer.data import crystal_molecules, synthetic_crystals

MOLECULES = [molecule(name) for name in ("CH3CH2OH", "CH3CN", "CH3OCH3", "HCOOH", "CH3CHO")]


def write_crystals(out: Path, rounds: int = 6, linear: bool = False) -> Path:
    """Molecules, and crystals of them in as many space groups, in the folder; gives the folder."""
    rng = np.random.default_rng(0)
    straight = molecule("C2H2")
    packed = [
        (
            atoms.numbers,
            atoms.positions + 0.02 * rng.normal(size=(len(atoms), 3)),
            0.1 * rng.normal(size=len(atoms)),
        )
        for atoms in MOLECULES
    ]
    if linear:
        packed.append((straight.numbers, straight.positions, np.zeros(len(straight))))
    out.mkdir(exist_ok=True)
    crystal_molecules.write(out / "molecules.npz", packed)
    sizes = ["--rounds", str(rounds), "--copies", "1", "--steps", "40", "--block", "3"]
    synthetic_crystals.main([str(out / "molecules.npz"), "--out", str(out), *sizes])
    return out
