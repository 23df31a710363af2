"""The table of what lattice energies are worth for different compounds."""

import ase.io
from ase import Atoms
from ase.spacegroup import crystal

from skmol3d.benchmark.experiments import x23


def test_order_of_compounds(tmp_path, capsys):
    """Three of the crystals, of which urea has most heavy atoms and the lowest energy."""
    cells = {"CO2": [5.64] * 3, "urea": [5.565, 5.565, 4.684], "ammonia": [5.1] * 3}
    places = {
        "CO2": ("CO", [(0, 0, 0), (0.118,) * 3], 205),
        "urea": (
            "CONHH",
            [
                (0, 0.5, 0.328),
                (0, 0.5, 0.596),
                (0.146, 0.646, 0.177),
                (0.257, 0.757, 0.283),
                (0.144, 0.644, 0.962),
            ],
            113,
        ),
        "ammonia": ("NH", [(0.21, 0.21, 0.21), (0.372, 0.264, 0.11)], 198),
    }
    found = []
    for name, (symbols, basis, number) in places.items():
        atoms = crystal(symbols, basis, spacegroup=number, cellpar=[*cells[name], 90, 90, 90])
        found.append(Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True, info={"name": name}))
    path = tmp_path / "some.extxyz"
    ase.io.write(path, found)
    x23.main([str(path)])
    out = capsys.readouterr().out
    assert "3 crystals" in out
    assert "| number of heavy atoms | 0.50 |" in out
    assert "| crystal-energy-small: mlip |" in out
