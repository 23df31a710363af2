"""Readers of extxyz and SD files: what was stored comes back, and what is wrong is named."""

import gzip

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from rdkit import Chem
from trainer_examples import embedded

from skmol3d.trainer.data.packed import read_packed, write_packed
from skmol3d.trainer.data.readers import read_extxyz, read_sdf


def frame(name, seed=0, drop=(), **info):
    atoms = molecule(name)
    rng = np.random.default_rng(seed)
    atoms.positions += rng.normal(0, 0.02, atoms.positions.shape) + 5.0
    values = {
        "energy": -17000.123456789 - seed,
        "forces": rng.normal(size=atoms.positions.shape),
        "charges": rng.normal(size=len(atoms)),
        "dipole": rng.normal(size=3),
    }
    atoms.calc = SinglePointCalculator(atoms, **{k: v for k, v in values.items() if k not in drop})
    atoms.info |= info
    return atoms


@pytest.mark.parametrize("suffix", [".xyz", ".extxyz", ".xyz.gz"])
def test_extxyz_comes_back(tmp_path, suffix):
    frames = [frame("CH3CH2OH", 0), frame("H2O", 1), frame("CH3CH2OH", 2), frame("H2O", 3, charge=2)]
    path = tmp_path / f"md{suffix}"
    ase.io.write(tmp_path / "md.tmp", frames, format="extxyz")
    text = (tmp_path / "md.tmp").read_bytes()
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    data = read_extxyz(path)
    assert data.group.tolist() == [0, 1, 0, 2]
    assert read_extxyz(path, "frame").group.tolist() == [0, 1, 2, 3]
    for m, atoms in enumerate(frames):
        batch, targets = data.batch(np.array([m]))
        assert batch.numbers.tolist() == atoms.numbers.tolist()
        assert batch.charge.tolist() == [atoms.info.get("charge", 0)]
        np.testing.assert_allclose(batch.positions.mean(0), 0, atol=1e-6)
        # To eight digits, as the file has them: not rounded to 0.001 Å.
        expected = atoms.positions - atoms.positions.mean(0)
        np.testing.assert_allclose(batch.positions, expected, atol=1e-6)
        np.testing.assert_allclose(targets["forces"], atoms.get_forces(), atol=1e-6)
        np.testing.assert_allclose(targets["charges"], atoms.get_charges(), atol=1e-6)
        np.testing.assert_allclose(targets["dipole"][0], atoms.get_dipole_moment(), atol=1e-6)
        assert data.molecule_targets["energy"][m] == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
        assert batch.bonds.shape == (2, len(atoms) - 1)  # acyclic


def test_extxyz_without_targets(tmp_path):
    ase.io.write(tmp_path / "a.xyz", [molecule("CH4"), molecule("H2O")], format="extxyz")
    data = read_extxyz(tmp_path / "a.xyz")
    assert (data.atom_targets, data.molecule_targets, len(data)) == ({}, {}, 2)


def write_frames(path, frames):
    ase.io.write(path, frames, format="extxyz")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda: frame("H2O", drop=["forces"]), r"frame 1: forces in some frames only"),
        (lambda: frame("H2O", charge="plus"), r"frame 1: the charge is not a number: 'plus'"),
        (lambda: Atoms("H2", [[0, 0, 0], [0, 0, 0.01]]), r"frame 1: atoms H0, H1 are 0\.01 Å apart"),
        (lambda: Atoms("H", pbc=True, cell=[3, 3, 3]), "frame 1: periodic"),
        (lambda: nan_forces(), "frame 1: forces: NaN or infinity"),
    ],
)
def test_broken_frames_are_named(tmp_path, broken, message):
    write_frames(tmp_path / "a.xyz", [frame("CH4"), broken(), frame("H2O")])
    with pytest.raises(ValueError, match=r"a\.xyz: " + message) as error:
        read_extxyz(tmp_path / "a.xyz")
    assert "frame 2" not in str(error.value)


def nan_forces():
    atoms = frame("H2O")
    atoms.calc.results["forces"][1, 2] = np.nan
    return atoms


def test_a_cut_extxyz(tmp_path):
    write_frames(tmp_path / "a.xyz", [frame("CH4"), frame("H2O")])
    lines = (tmp_path / "a.xyz").read_text().splitlines()
    (tmp_path / "a.xyz").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(ValueError, match="not a valid XYZ frame"):
        read_extxyz(tmp_path / "a.xyz")
    (tmp_path / "b.xyz.gz").write_bytes(gzip.compress(("\n".join(lines) + "\n").encode())[:-40])
    with pytest.raises(ValueError, match=r"frame 1: b\.xyz\.gz, after record 0: cannot be read further"):
        read_extxyz(tmp_path / "b.xyz.gz")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.xyz"):
        read_extxyz(tmp_path / "nowhere.xyz")
    with pytest.raises(ValueError, match="group_by must be 'molecule' or 'frame', got 'file'"):
        read_extxyz(tmp_path / "a.xyz", "file")


def sdf(path, records):
    """Records of (SMILES, seed, properties)."""
    with Chem.SDWriter(str(path)) as writer:
        for smiles, seed, properties in records:
            mol, _ = embedded(smiles, seed)
            for name, value in properties.items():
                mol.SetProp(name, str(value))
            writer.write(mol)
    return path


RECORDS = [
    ("C[C@H](N)C(=O)O", 0, {"log D": 1.5, "note": "x"}),
    ("CC[NH3+]", 1, {"log D": -2}),
    ("C[C@H](N)C(=O)O", 2, {"log D": "3e-1"}),
    ("C[C@@H](N)C(=O)O", 3, {"log D": 0}),
]


@pytest.mark.parametrize("zipped", [False, True])
def test_sdf_comes_back(tmp_path, zipped):
    path = sdf(tmp_path / "a.sdf", RECORDS)
    if zipped:
        (tmp_path / "a.sdf.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / "a.sdf.gz"
    data = read_sdf(path, ["log D"])
    # Two conformers of L-alanine belong together; D-alanine is another molecule.
    assert data.group.tolist() == [0, 1, 0, 2]
    assert data.molecule_targets["log D"].tolist() == [1.5, -2, 0.3, 0]
    assert data.charge.tolist() == [0, 1, 0, 0]
    for m, (smiles, seed, _) in enumerate(RECORDS):
        mol, positions = embedded(smiles, seed)
        batch, _ = data.batch(np.array([m]))
        assert sorted(batch.numbers.tolist()) == sorted(a.GetAtomicNum() for a in mol.GetAtoms())
        ours, theirs = torch.pdist(batch.positions.double()), torch.pdist(torch.from_numpy(positions))
        np.testing.assert_allclose(ours.sort()[0], theirs.sort()[0], atol=3e-4)  # four digits in the file
        start, end = batch.positions[batch.bonds]
        assert batch.bonds.shape[1] == mol.GetNumBonds()
        assert (start - end).norm(dim=1).max() < 1.7  # the longest bond, Å
    assert read_sdf(path).molecule_targets == {}
    write_packed(tmp_path / "set", data)
    back = read_packed(tmp_path / "set")
    assert back.molecule_targets["log D"].tolist() == [1.5, -2, 0.3, 0]


def test_broken_records_are_all_named(tmp_path):
    path = sdf(tmp_path / "a.sdf", [*RECORDS, ("CCO", 0, {}), ("CCO", 1, {"log D": "high"})])
    flat = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))
    path.write_text(path.read_text() + flat + "$$$$\nnonsense\n$$$$\n")
    with pytest.raises(ValueError, match=r"a\.sdf: record 4: no property 'log D'") as error:
        read_sdf(path, ["log D"])
    lines = str(error.value).splitlines()
    assert lines[1:3] == ["record 5: property 'log D' is no number: 'high'", "record 6: no 3D coordinates"]
    assert lines[3] == "record 7: a.sdf, line 197: not a valid MOL block: it ends too early"
    assert len(lines) == 4


def test_many_broken_records_are_counted(tmp_path):
    (tmp_path / "a.sdf").write_text("nonsense\n$$$$\n" * 13)
    with pytest.raises(ValueError, match=r"record 9: .*\n\.\.\. and 3 more$"):
        read_sdf(tmp_path / "a.sdf")
    (tmp_path / "b.sdf").write_text("")
    with pytest.raises(ValueError, match=r"b\.sdf: no records"):
        read_sdf(tmp_path / "b.sdf")
    with pytest.raises(ValueError, match="record 0: property 'p' is nan"):
        read_sdf(sdf(tmp_path / "c.sdf", [("CCO", 0, {"p": "nan"})]), ["p"])
