"""Whatever comes in, out comes a molecule with a geometry, or a reason."""

import ase
import numpy as np
import pytest
from rdkit import rdBase
from structure_fuzz import fuzz_inputs

from skmol3d.benchmark.experiments.fuzz_files import damaged_files
from skmol3d.benchmark.experiments.fuzz_files import outcome as file_outcome
from skmol3d.structures import ConformerSettings, StructureError, embed, read_molecule

QUICK = ConformerSettings(relax="mmff", time_limit=2.0, max_attempts=5)


def outcome(value):
    """The molecule and its conformers, checked against each other, or the reason."""
    try:
        molecule = read_molecule(value)
        found = embed(molecule, QUICK)
    except StructureError as error:
        return str(error)
    count = len(molecule.numbers)
    assert found.positions.shape == (1, count, 3)
    assert np.isfinite(found.positions).all()
    assert molecule.numbers.min() >= 1
    assert molecule.bonds.size == 0 or 0 <= molecule.bonds.min() <= molecule.bonds.max() < count
    if molecule.coordinates is None:
        assert read_molecule(molecule.smiles).key == molecule.key
    else:
        np.testing.assert_array_equal(found.positions[0], molecule.coordinates[0])
    return found


@pytest.mark.slow
def test_anything():
    outcomes = [outcome(value) for value in fuzz_inputs(1500)]
    reasons = [result for result in outcomes if isinstance(result, str)]
    assert all(reason and "\n" not in reason and len(reason) < 300 for reason in reasons)
    # Both happen, or the fuzzer has become too tame or too wild to say anything.
    assert 300 < len(reasons) < 1200


def test_atoms_keep_their_numbers():
    assert read_molecule(ase.Atoms("OH2", np.eye(3))).numbers.tolist() == [8, 1, 1]


@pytest.mark.slow
def test_damaged_files():
    outcomes = []
    for format, data in damaged_files(400):
        with rdBase.BlockLogs():
            outcomes += file_outcome(format, data)
    reasons = [text for text in outcomes if text != "molecule"]
    assert all(reason and "\n" not in reason and len(reason) < 450 for reason in reasons)
    assert 300 < len(reasons) < len(outcomes) - 300
