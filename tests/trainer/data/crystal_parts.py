"""Synthetic crystals of three molecules, in two parts."""

from ase.build import molecule

from skmol3d.crystals.synthesis import Synthesis
from skmol3d.trainer.data.synthetic_crystals import make_part

MOLECULES = [molecule(name) for name in ("CH3CH2OH", "CH3CN", "CH3OCH3")]
PAIRS = [(atoms.numbers, atoms.positions) for atoms in MOLECULES]


def write_part(path, pairs, seed):
    make_part(path, pairs, Synthesis(steps=15, copies=2, cutoff=6.0), "et-xtb-small", seed=seed)


def write_parts(out):
    """Parts of two molecules and of one, below the folder; gives the folder."""
    write_part(out / "part_0000.npz", PAIRS[:2], seed=0)
    write_part(out / "part_0001.npz", PAIRS[2:], seed=1)
    return out
