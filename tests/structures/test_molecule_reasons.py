"""Why an input is no molecule."""

import math

import ase
import ase.io
import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from structure_examples import water, with_conformer

from skmol3d.structures import StructureError, read_molecule


def colliding():
    mol = with_conformer("CCO")
    mol.GetConformer().SetAtomPosition(1, mol.GetConformer().GetAtomPosition(0))
    return mol


def hydrogen_bond():
    mol = Chem.RWMol(Chem.MolFromSmiles("CCO.O"))
    mol.AddBond(2, 3, Chem.BondType.HYDROGEN)
    return mol


def not_finite():
    atoms = water()
    atoms.positions[1, 0] = math.nan
    return atoms


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "missing value"),
        (math.nan, "missing value"),
        (np.float64("nan"), "missing value"),
        (pd.NA, "missing value"),
        (pd.NaT, "missing value"),
        ("", "empty string"),
        ("  \t", "empty string"),
        ("CCO ethanol", "text after the structure: 'ethanol'"),
        ("C1CC", "not a valid SMILES: unclosed ring"),
        ("C(C)(C)(C)(C)C", "Explicit valence for atom # 0 C, 5"),
        ("c1cccc1", "Can't kekulize"),
        ("hello", "not a valid SMILES"),
        ("CÇ", "characters that no SMILES or InChI has"),
        ("C" * 20_000, "20000 characters"),
        ("C" * 1000, "3002 atoms; at most 1000"),
        ("InChI=1S/nonsense", "not a valid InChI"),
        ("*CC", "atom 0 is a placeholder"),
        (3, "cannot read a int"),
        (1.5, "cannot read a float"),
        (b"CCO", "cannot read a bytes"),
        (np.zeros(3), "cannot read a ndarray"),
        (Chem.Mol(), "no atoms"),
        (ase.Atoms(), "no atoms"),
        (ase.Atoms("X"), "atom 0 is no element"),
        (Chem.MolFromSmarts("[#6,#7]~[!#1]"), "placeholder"),
        (Chem.MolFromSmarts("[NX3;H2]C"), "atom 0 is a query"),
        ("C~N", "the bond between atoms 0 and 1 is a query"),
        (hydrogen_bond(), "the bond between atoms 2 and 3 is of the type HYDROGEN"),
        (np.ma.masked, "missing value"),
        (Chem.MolToMolBlock(Chem.MolFromSmiles("CCO")), "the text of a MOL file; read it with Chem.MolFrom"),
        (Chem.MolFromSmiles("C(C)(C)(C)(C)C", sanitize=False), "not a valid molecule: Explicit valence"),
        (colliding(), "atoms C0, C1 are 0.00 Å apart"),
        (not_finite(), "coordinates that are not finite or beyond 10,000 Å at atoms H1"),
        (ase.Atoms("Cu", cell=[3, 3, 3], pbc=True), "periodic"),
        (ase.Atoms("O", info={"charge": "many"}), "charge is not a number"),
        ("missing.sdf", "cannot read 'missing.sdf': No such file"),
        ("C" * 5000 + ".xyz", "File name too long"),
    ],
)
def test_reasons(value, reason):
    with pytest.raises(StructureError) as error:
        read_molecule(value)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.sdf", "", "no record"),
        ("empty.xyz", "", "no record"),
        ("bad.sdf", "nonsense\n$$$$\n", "bad.sdf, line 1: not a valid MOL block: it ends too early"),
        ("bad.xyz", "2\n\nO 0 0 0\n", "bad.xyz, line 1: not a valid XYZ frame: 2 atoms announced, 1 found"),
        (
            "words.xyz",
            "water please\n",
            "words.xyz, line 1: .* expected a number of atoms, got 'water please'",
        ),
        ("two.xyz", "1\n\nO 0 0 0\n1\n\nO 0 0 0\n", "more than one record"),
    ],
)
def test_reasons_of_files(tmp_path, name, content, reason):
    (tmp_path / name).write_text(content)
    with pytest.raises(StructureError, match=reason):
        read_molecule(tmp_path / name)


@pytest.mark.parametrize("content", ["1\n", "1999999999997\n\nO 0 0 0\n"])
def test_hostile_xyz_files_fail_as_one_of_several(tmp_path, content):
    (tmp_path / "bad.xyz").write_text(content)
    (tmp_path / "good.xyz").write_text("1\n\nHe 0 0 0\n")
    for value in (tmp_path / "bad.xyz", str(tmp_path / "bad.xyz")):
        with pytest.raises(StructureError, match=r"bad\.xyz, line 1: "):
            read_molecule(value)
    assert read_molecule(tmp_path / "good.xyz").numbers.tolist() == [2]
