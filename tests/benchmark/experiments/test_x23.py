"""The table of what lattice energies are worth for different compounds."""

import ase.io
from ase import Atoms
from ase.spacegroup import crystal
from crystal_examples import DRY_ICE, UREA

from skmol3d.benchmark.experiments import x23


def test_order_of_compounds(tmp_path, capsys):
    """Three of the crystals, of which urea has most heavy atoms and the lowest energy."""
    places = [(0.21, 0.21, 0.21), (0.372, 0.264, 0.11)]
    ammonia = crystal("NH", places, spacegroup=198, cellpar=[5.1] * 3 + [90] * 3)
    named = {"CO2": DRY_ICE, "urea": UREA, "ammonia": ammonia}
    found = [
        Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True, info={"name": name})
        for name, atoms in named.items()
    ]
    path = tmp_path / "some.extxyz"
    ase.io.write(path, found)
    x23.main([str(path)])
    out = capsys.readouterr().out
    assert "3 crystals" in out
    assert "| number of heavy atoms | 0.50 |" in out
    assert "| crystal-energy-small: mlip |" in out
