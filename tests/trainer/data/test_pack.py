"""Packing: environments and handedness as RDKit and geometry have them, dropped molecules, resumed shards."""

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem import Descriptors, rdFingerprintGenerator
from trainer_examples import SMILES, embedded

from skmol3d.trainer.data import pack
from skmol3d.trainer.data.sets import POSITION_UNIT


@pytest.mark.parametrize(
    "smiles", ["CC(=O)Nc1ccc(O)cc1", "C[C@H](N)C(=O)O", "O=S(=O)(C)C#N", "[NH4+]", "[H]O[H]"]
)
def test_environments_are_those_of_the_morgan_fingerprint(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    found = pack.atom_environments(mol)
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


def test_no_environments_where_an_isotope_of_hydrogen_stays():
    assert (pack.atom_environments(Chem.AddHs(Chem.MolFromSmiles("[2H]C"))) == 0).all()


@pytest.mark.parametrize(
    ("smiles", "labels"),
    [
        ("C[C@H](N)C(=O)O", {1: -1}),  # L-alanine is S
        ("C[C@@H](N)C(=O)O", {1: 1}),
        ("F[C@](Cl)(Br)[C@@H](O)C", None),
    ],
)
def test_handedness_follows_the_geometry(smiles, labels):
    mol, positions = embedded(smiles)
    found = pack.handedness(mol, positions)
    centres = dict(Chem.FindMolChiralCenters(mol))
    expected = {k: {"R": 1, "S": -1}[c] for k, c in centres.items()} if labels is None else labels
    assert {k: v for k, v in enumerate(found.tolist()) if v} == expected
    np.testing.assert_array_equal(pack.handedness(mol, positions * [1, 1, -1]), -found)
    # What the SMILES says does not count.
    Chem.RemoveStereochemistry(mol)
    np.testing.assert_array_equal(pack.handedness(mol, positions), found)


@pytest.mark.parametrize("smiles", ["CCO", "c1ccccc1", "OC(C)(C)C", "C[C@H](O)[C@H](O)C"])
def test_handedness_of_a_molecule_without_a_hand(smiles):
    mol, positions = embedded(smiles)
    found = pack.handedness(mol, positions)
    # A meso compound has one centre of each hand.
    assert found.sum() == 0
    assert np.abs(found).sum() == (2 if "@" in smiles else 0)


def test_descriptors():
    mol = Chem.AddHs(Chem.MolFromSmiles("CC(=O)Nc1ccc(O)cc1"))
    values = dict(zip(pack.DESCRIPTORS, pack.molecular_descriptors(mol).tolist(), strict=True))
    assert values["MolWt"] == pytest.approx(151.16, abs=0.01)
    assert values["HeavyAtomCount"] == 11
    assert values["TPSA"] == pytest.approx(Descriptors.TPSA(Chem.MolFromSmiles("CC(=O)Nc1ccc(O)cc1")))


def test_pack_smiles_drops_what_does_not_parse_fit_or_embed():
    packed = pack.pack_smiles(
        ["CCCO", "not a molecule", "CO", "c1ccccc1CCCC", "C[C@H](N)C(=O)[O-]"], largest=9
    )
    assert packed["charge"].tolist() == [0, -1]
    assert np.diff(packed["offsets"]).tolist() == [12, 12]
    heavy = packed["numbers"] > 1
    assert heavy.sum() == 4 + 6
    assert packed["descriptors"].shape == (2, len(pack.DESCRIPTORS))
    assert packed["environments"].shape == (24, 6)
    assert ((packed["environments"][:, 0] > 0) == heavy).all()
    assert packed["handedness"].tolist().count(-1) == 1
    positions = packed["positions"] * POSITION_UNIT
    np.testing.assert_allclose(positions[:12].mean(0), 0, atol=1e-3)
    distances = np.linalg.norm(positions[:12, None] - positions[:12], axis=-1)[np.triu_indices(12, 1)]
    assert 0.9 < distances.min() < 1.05  # the O-H bond, Å
    assert pack.pack_smiles(["C", "nonsense"], largest=9) is None


def test_a_killed_run_continues_with_the_missing_shards(tmp_path, monkeypatch):
    source = tmp_path / "smiles.csv"
    pd.DataFrame({"smiles": SMILES[:6]}).to_csv(source, index=False)
    monkeypatch.setattr(pack, "SHARD", 2)

    def run():
        pack.pack_corpus(source, tmp_path / "out", count=6, largest=20, n_jobs=1, seed=0)
        return {f.name: f.stat().st_mtime_ns for f in (tmp_path / "out").iterdir()}

    first = run()
    assert set(first) == {"shard_0000.npz", "shard_0001.npz", "shard_0002.npz"}
    with np.load(tmp_path / "out" / "shard_0001.npz") as data:
        before = dict(data)
    (tmp_path / "out" / "shard_0001.npz").unlink()
    second = run()
    assert {k for k in first if first[k] == second[k]} == {"shard_0000.npz", "shard_0002.npz"}
    with np.load(tmp_path / "out" / "shard_0001.npz") as data:
        for key in before:
            np.testing.assert_array_equal(data[key], before[key])


def test_pack_xtb_wants_the_atoms_of_the_smiles(data_root, tmp_path):
    table = pd.read_csv(data_root / "smiles.csv")
    table.loc[1, "smiles"] = "CC(=O)N"
    table.to_csv(tmp_path / "smiles.csv", index=False)
    with pytest.raises(
        ValueError, match=r"conformer 3: its atoms are not those of SMILES 'CC\(=O\)N' \(row 1\)"
    ):
        pack.pack_xtb(data_root / "labels.npz", tmp_path / "smiles.csv", tmp_path / "out.npz")


def test_pack_xtb_targets(data_root):
    with np.load(data_root / "labels.npz") as labels, np.load(data_root / "targets.npz") as targets:
        assert len(targets["environments"]) == len(targets["handedness"]) == len(labels["numbers"])
        assert len(targets["descriptors"]) == len(labels["energy"])
        mass = targets["descriptors"][:, pack.DESCRIPTORS.index("MolWt")]
        alanine = slice(*labels["offsets"][[6, 7]])
        assert mass[6] == pytest.approx(89.09, abs=0.01)
        assert targets["handedness"][alanine].tolist() == [0, -1] + [0] * 11
