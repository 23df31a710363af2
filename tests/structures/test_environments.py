"""Morgan environments of atoms: as RDKit's fingerprints have them."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from skmol3d.structures import atom_environments


@pytest.mark.parametrize(
    "smiles", ["CC(=O)Nc1ccc(O)cc1", "C[C@H](N)C(=O)O", "O=S(=O)(C)C#N", "[NH4+]", "[H]O[H]"]
)
def test_environments_are_those_of_the_morgan_fingerprint(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    found = atom_environments(mol)
    assert found.shape == (mol.GetNumAtoms(), 6)
    heavy = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() > 1]
    assert (np.delete(found, heavy, axis=0) == 0).all()
    for column in range(6):
        # Each atom's environment of one radius, asked for alone.
        features = rdFingerprintGenerator.GetMorganFeatureAtomInvGen() if column >= 3 else None
        radius = column % 3
        generator = rdFingerprintGenerator.GetMorganGenerator(
            radius=radius, includeRedundantEnvironments=True, atomInvariantsGenerator=features
        )
        output = rdFingerprintGenerator.AdditionalOutput()
        output.AllocateBitInfoMap()
        generator.GetSparseCountFingerprint(Chem.MolFromSmiles(smiles), additionalOutput=output)
        expected = {
            atom: bit for bit, places in output.GetBitInfoMap().items() for atom, r in places if r == radius
        }
        # A lone atom has no surroundings; the identifier 0 (no feature at all) is told from no label.
        assert found[heavy, column].tolist() == [
            max(expected[k], 1) if k in expected else 0 for k in range(len(heavy))
        ]
    # The identifiers of radius 0 are those of the atoms' own invariants.
    assert len(set(found[heavy, 0])) == len(
        rdFingerprintGenerator.GetMorganGenerator(radius=0)
        .GetSparseCountFingerprint(Chem.MolFromSmiles(smiles))
        .GetNonzeroElements()
    )


@pytest.mark.parametrize(
    ("drawn", "common"),
    [
        ("[2H]c1ccc(CO)cc1", "OCc1ccccc1"),
        ("[13CH3]O", "CO"),
        ("[H]/N=C(/N)CC", "N=C(N)CC"),
    ],
)
def test_labels_and_marks_of_hydrogens_change_no_environment(drawn, common):
    drawn, common = (
        sorted(map(tuple, atom_environments(Chem.AddHs(Chem.MolFromSmiles(smiles))).tolist()))
        for smiles in (drawn, common)
    )
    assert drawn == common
    assert any(map(all, drawn))


def test_no_environments_where_hydrogens_cannot_go(capfd):
    for smiles in ("[H][H]", "[H]", "[H-].[Li+]"):
        assert (atom_environments(Chem.AddHs(Chem.MolFromSmiles(smiles, sanitize=False))) == 0).all()
    assert capfd.readouterr().err == ""
