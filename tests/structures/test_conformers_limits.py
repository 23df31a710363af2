"""What is not embedded in time, or at all, says so; settings that make no sense are refused."""

import math

import numpy as np
import pytest

from skmol3d.structures import (
    ConformerSettings,
    StructureError,
    embed,
    isolated,
    read_molecule,
)
from skmol3d.structures.conformers import embed_here
from skmol3d.structures.enantiomers import embedded_enantiomer

PEPTIDE = "N[C@H](C)C(=O)" * 24 + "O"  # 243 atoms: goes to a process of its own


def conformers(value, **kwargs):
    return embed(read_molecule(value), ConformerSettings(**{"relax": "mmff"} | kwargs))


BUCKY = (
    "c12c3c4c5c1c1c6c7c2c2c8c3c3c9c4c4c%10c5c5c1c1c6c6c%11c7c2c2c7c8c3c3c8c9c4c4c9c%10c5c5c1c1c6c6c%11c2c2"
    "c7c3c3c8c4c4c9c5c1c1c6c2c3c41"
)


@pytest.mark.slow
@pytest.mark.parametrize("smiles", [BUCKY, "C" * 66, "C" * 300], ids=["bucky", "C66", "C300"])
def test_the_time_limit_interrupts(smiles):
    with pytest.raises(StructureError, match=r"within the time limit of 0\.5 s"):
        conformers(smiles, time_limit=0.5)


def test_a_process_that_hangs_is_killed(monkeypatch):
    monkeypatch.setattr(isolated, "STARTUP", 0.0)
    with pytest.raises(StructureError, match=r"within the time limit of 0\.01 s"):
        conformers(PEPTIDE, time_limit=0.01)


def test_a_process_that_dies_is_reported(monkeypatch):
    monkeypatch.setattr(isolated, "CHILD", "import os; os.abort()")
    with pytest.raises(StructureError, match="RDKit crashed"):
        conformers(PEPTIDE)


@pytest.mark.slow
def test_large_molecules_embed_elsewhere_with_the_same_result():
    molecule = read_molecule(PEPTIDE)
    assert len(molecule.numbers) == 243
    plain = ConformerSettings(relax=None)
    assert embedded_enantiomer(molecule).molecule is molecule
    np.testing.assert_array_equal(embed(molecule, plain).positions, embed_here(molecule, plain).positions)


def test_rdkit_s_own_violations_are_reported():
    with pytest.raises(StructureError, match=r"RDKit cannot embed it: .+"):
        conformers("c1ccoc1->c1ccoc1->c1ccsc1")


def test_impossible_stereo_is_reported():
    with pytest.raises(StructureError, match=r"no conformer in 3 x 5 attempts \(most failed at"):
        conformers("C1C[C@@H]2C[C@@H]1[C@H]1C[C@@H]21", max_attempts=5)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"relax": "uff"},
        {"n_conformers": 0},
        {"max_attempts": 0},
        {"time_limit": 0},
        {"time_limit": math.inf},
        {"time_limit": math.nan},
    ],
)
def test_settings_are_checked(kwargs):
    with pytest.raises(ValueError, match="must be"):
        ConformerSettings(**kwargs)
