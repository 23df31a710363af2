"""What one input becomes, whatever it is and however it is spelled."""

import pickle

import ase
import ase.io
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem
from structure_examples import DIVERSE, water, with_conformer

from skmol3d.structures import StructureError, read_molecule

# --- one molecule, many spellings ------------------------------------------------------------------------


@given(st.sampled_from(DIVERSE), st.integers(0, 2**31 - 1))
@settings(max_examples=120, deadline=None)
def test_every_spelling_gives_the_same_molecule(smiles, seed):
    mol = Chem.MolFromSmiles(smiles)
    expected = read_molecule(smiles)
    order = np.random.default_rng(seed).permutation(Chem.AddHs(mol).GetNumAtoms()).tolist()
    spellings = [
        Chem.MolToRandomSmilesVect(mol, 1, randomSeed=seed)[0],
        Chem.MolToRandomSmilesVect(Chem.AddHs(mol), 1, randomSeed=seed)[0],
        Chem.MolToSmiles(mol, kekuleSmiles=True) if seed % 2 else Chem.MolToSmiles(mol, allHsExplicit=True),
        mol,
        Chem.RenumberAtoms(Chem.AddHs(mol), order),
    ]
    for spelling in spellings:
        found = read_molecule(spelling)
        assert found.smiles == expected.smiles
        assert found.key == expected.key
        np.testing.assert_array_equal(found.numbers, expected.numbers)
        np.testing.assert_array_equal(found.bonds, expected.bonds)


@pytest.mark.parametrize("smiles", DIVERSE)
def test_canonical_smiles_is_a_fixed_point(smiles):
    once = read_molecule(smiles).smiles
    assert read_molecule(once).smiles == once


@pytest.mark.parametrize("smiles", ["CCO", "C[C@H](N)C(=O)O", "F/C=C\\F", "c1ccc2ccccc2c1", "C[N+](C)(C)C"])
def test_inchi(smiles):
    inchi = Chem.MolToInchi(Chem.MolFromSmiles(smiles))
    assert read_molecule(inchi).key == read_molecule(smiles).key


def test_different_molecules_have_different_keys():
    keys = {read_molecule(smiles).key for smiles in DIVERSE}
    same = {"CC(=O)[O-].[Na+]": "CC(=O)[O-]", "CCN(CC)CC.Cl": "CCN(CC)CC"}
    assert len(keys) == len(DIVERSE)
    for salt, parent in same.items():
        assert read_molecule(salt).key == read_molecule(parent).key


@pytest.mark.parametrize(
    "smiles", ["F[S@OH5](F)(F)(F)(F)Cl", "Cl[Pt@SP1](Cl)([NH3])[NH3]", "C[As@TB15](F)(Cl)(Br)N"]
)
def test_stereo_marks_that_are_not_tetrahedral_are_dropped(smiles):
    mol = Chem.MolFromSmiles(smiles)
    spellings = {Chem.MolToRandomSmilesVect(mol, 1, randomSeed=seed)[0] for seed in range(10)}
    assert len(spellings) > 3
    assert {read_molecule(text).key for text in spellings} == {read_molecule(smiles).key}
    assert "@" not in read_molecule(smiles).smiles
    assert mol.GetAtomWithIdx(1).GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED  # the caller's stays


def test_tetrahedral_marks_beside_others_stay():
    smiles = "C[C@H](N)C[Pt@SP1](Cl)(Br)[NH3]"
    assert read_molecule(smiles).key == read_molecule("C[C@H](N)C[Pt](Cl)(Br)[NH3]").key
    assert read_molecule(smiles).key != read_molecule("C[C@@H](N)C[Pt](Cl)(Br)[NH3]").key


def test_marks_perceived_from_a_geometry_are_tetrahedral_alone():
    mol = Chem.MolFromSmiles("Cl[Pt](Cl)(Br)Br")
    conformer = Chem.Conformer(5)
    conformer.SetPositions(np.array([[2.3, 0, 0], [0, 0, 0], [0, 2.3, 0], [-2.4, 0, 0], [0, -2.4, 0]]))
    conformer.Set3D(True)
    mol.AddConformer(conformer)
    assert read_molecule(mol).smiles == read_molecule("Cl[Pt](Cl)(Br)Br").smiles


def test_atom_maps_are_dropped_and_isotopes_kept():
    assert read_molecule("[CH3:1][OH:2]").key == read_molecule("CO").key
    assert read_molecule("[13CH3]O").smiles == "[13CH3]O"


# --- the arrays ------------------------------------------------------------------------------------------


def test_arrays_of_ethanol():
    molecule = read_molecule("OCC")
    assert molecule.smiles == "CCO"
    assert molecule.numbers.tolist() == [6, 6, 8, 1, 1, 1, 1, 1, 1]
    assert molecule.numbers.dtype == np.uint8
    assert molecule.bonds.shape == (8, 2)
    assert molecule.bonds.dtype == np.int32
    assert {tuple(sorted(bond)) for bond in molecule.bonds[:2].tolist()} == {(0, 1), (1, 2)}
    assert molecule.coordinates is None


def test_a_single_atom_has_no_bonds():
    assert read_molecule("[He]").bonds.shape == (0, 2)


@pytest.mark.parametrize(
    ("smiles", "kept", "charge"),
    [
        ("CC(=O)[O-].[Na+]", "CC(=O)[O-]", -1),
        ("C[NH3+].[Cl-]", "C[NH3+]", 1),
        ("CCO.CCCCO.O", "CCCCO", 0),
        ("CCO.[Fe+2].[O-]S(=O)(=O)[O-]", "CCO", 0),  # carbon comes before size
        ("CCO.CCS", "CCS", 0),  # as many heavy atoms: mass decides
        ("C[N+](C)(C)CC(=O)[O-]", "C[N+](C)(C)CC(=O)[O-]", 0),
        ("[Cl-].C[N+](C)(C)CC(=O)O", "C[N+](C)(C)CC(=O)O", 1),
    ],
)
def test_salts_and_charges(smiles, kept, charge):
    molecule = read_molecule(smiles)
    assert molecule.smiles == Chem.CanonSmiles(kept)
    assert molecule.charge == charge


def test_the_caller_s_mol_stays_as_it_is():
    mol = Chem.MolFromSmiles("[CH3:1][OH:2].[Na+]")
    before = Chem.MolToSmiles(mol)
    read_molecule(mol)
    assert Chem.MolToSmiles(mol) == before


def test_molecules_pickle():
    molecule = read_molecule("C[C@H](N)C(=O)O")
    copy = pickle.loads(pickle.dumps(molecule))
    assert copy.key == molecule.key
    assert Chem.MolToSmiles(copy.mol) == Chem.MolToSmiles(molecule.mol)


# --- coordinates -----------------------------------------------------------------------------------------


def distances(numbers, positions):
    """Element pairs and their distances, sorted: the same for any atom order."""
    i, j = np.triu_indices(len(numbers), 1)
    lengths = np.linalg.norm(positions[i] - positions[j], axis=1)
    low, high = np.minimum(numbers[i], numbers[j]), np.maximum(numbers[i], numbers[j])
    return np.stack([low, high, lengths], axis=1)[np.lexsort((lengths, high, low))]


@pytest.mark.parametrize("smiles", ["C[C@H](N)C(=O)O", "CC(=O)Oc1ccccc1C(=O)O"])
def test_a_mol_keeps_its_coordinates(smiles):
    mol = with_conformer(smiles)
    molecule = read_molecule(mol)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    assert molecule.coordinates.shape == (1, len(numbers), 3)
    assert molecule.smiles == Chem.CanonSmiles(smiles)
    expected = distances(numbers, mol.GetConformer().GetPositions())
    np.testing.assert_allclose(distances(molecule.numbers, molecule.coordinates[0]), expected, atol=1e-5)


def test_far_from_the_origin_nothing_is_rounded():
    mol, far = with_conformer("C[C@H](F)Cl"), with_conformer("C[C@H](F)Cl")
    shift = np.array([4000.0, -2500.0, 3.3])
    far.GetConformer().SetPositions(mol.GetConformer().GetPositions() + shift)
    near, moved = read_molecule(mol), read_molecule(far)
    assert moved.coordinates.dtype == np.float64
    np.testing.assert_allclose(moved.coordinates - shift, near.coordinates, atol=1e-11)
    atoms = ase.Atoms(near.numbers, near.coordinates[0] + shift)
    np.testing.assert_array_equal(read_molecule(atoms).coordinates[0], atoms.positions)


def test_the_key_of_given_coordinates():
    # The same coordinates give the same key; a shift that single precision would not see gives another.
    atoms = ase.Atoms("OHH", water().positions + 3000)
    key, other = read_molecule(atoms).key, read_molecule(atoms.copy()).key
    before = read_molecule(atoms)
    atoms.positions[1, 0] += 1e-5
    assert other == key == before.key != read_molecule(atoms).key
    assert before.coordinates[0, 1, 0] == 3000  # a copy: moving the caller's atoms leaves it
    mol = with_conformer("CCO")
    assert read_molecule(mol).key == read_molecule(Chem.Mol(mol)).key


def test_atom_order_does_not_move_coordinates():
    mol = with_conformer("C[C@H](F)C(=O)OCCl")
    order = np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist()
    one, other = read_molecule(mol), read_molecule(Chem.RenumberAtoms(mol, order))
    np.testing.assert_array_equal(one.numbers, other.numbers)
    # Heavy atoms are all different here; hydrogens of one group may swap places.
    heavy = one.numbers > 1
    np.testing.assert_allclose(one.coordinates[0][heavy], other.coordinates[0][heavy], atol=1e-6)


def test_all_conformers_are_kept():
    mol = Chem.AddHs(Chem.MolFromSmiles("CCCO"))
    AllChem.EmbedMultipleConfs(mol, 3, randomSeed=1)
    assert read_molecule(mol).coordinates.shape == (3, mol.GetNumAtoms(), 3)


def test_the_geometry_decides_on_stereo():
    mol = with_conformer("C[C@H](N)C(=O)O")
    for atom in mol.GetAtoms():
        atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    assert read_molecule(mol).smiles == Chem.CanonSmiles("C[C@H](N)C(=O)O")


def test_missing_hydrogens_are_added_at_their_places():
    mol = Chem.RemoveHs(with_conformer("CCO"))
    molecule = read_molecule(mol)
    assert sorted(molecule.numbers.tolist()) == [1] * 6 + [6, 6, 8]
    hydrogens = [bond for bond in molecule.bonds.tolist() if 1 in molecule.numbers[bond]]
    positions = molecule.coordinates[0]
    lengths = [np.linalg.norm(positions[a] - positions[b]) for a, b in hydrogens]
    assert len(lengths) == 6
    assert 0.9 < min(lengths) <= max(lengths) < 1.2


def test_a_depiction_is_no_geometry():
    mol = Chem.MolFromSmiles("C[C@H](N)C(=O)O")
    AllChem.Compute2DCoords(mol)
    assert read_molecule(mol).coordinates is None
    assert read_molecule(mol).key == read_molecule("C[C@H](N)C(=O)O").key


def test_different_geometries_have_different_keys():
    keys = {read_molecule(with_conformer("CCCO", seed)).key for seed in (1, 2)} | {read_molecule("CCCO").key}
    assert len(keys) == 3


def test_ase_atoms():
    molecule = read_molecule(water())
    assert molecule.numbers.tolist() == [8, 1, 1]
    np.testing.assert_allclose(molecule.coordinates[0], water().positions, atol=1e-6)
    assert sorted(map(sorted, molecule.bonds.tolist())) == [[0, 1], [0, 2]]
    assert (molecule.charge, molecule.mol, molecule.smiles) == (0, None, None)


def test_ase_charges():
    atoms = water()
    atoms.set_initial_charges([-0.4, 0.7, 0.7])
    assert read_molecule(atoms).charge == 1
    atoms.info["charge"] = -1
    assert read_molecule(atoms).charge == -1
    assert read_molecule(atoms).key != read_molecule(water()).key


def test_files(tmp_path):
    mol = with_conformer("CCO")
    Chem.MolToMolFile(mol, str(tmp_path / "one.mol"))
    Chem.MolToXYZFile(mol, str(tmp_path / "one.xyz"))
    with Chem.SDWriter(str(tmp_path / "one.SDF")) as writer:
        writer.write(mol)
    positions = mol.GetConformer().GetPositions()
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    for name in ("one.mol", "one.SDF", "one.xyz"):
        for path in (tmp_path / name, str(tmp_path / name)):
            molecule = read_molecule(path)
            found = distances(molecule.numbers, molecule.coordinates[0])
            np.testing.assert_allclose(found, distances(numbers, positions), atol=2e-3)
            assert len(molecule.bonds) == 8
    assert read_molecule(tmp_path / "one.mol").smiles == "CCO"


# --- CXSMILES --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["|o1:1|", "|&1:1|", "|a:1|", "|&1:1,r|", "|$;A;;$|"])
def test_of_an_extension_the_drawn_isomer_counts(extension):
    assert read_molecule(f"C[C@@H](F)Cl {extension}").key == read_molecule("C[C@@H](F)Cl").key


def test_an_extension_may_say_what_the_molecule_is():
    assert read_molecule("CC |^1:0|").smiles == "[CH2]C"
    # Text has no geometry, whatever the extension says.
    assert read_molecule("CC |(0,0,0;0,0,1.5)|").coordinates is None


def test_an_extension_that_is_none():
    with pytest.raises(StructureError, match=r"not a valid CXSMILES extension '\|junk\|'"):
        read_molecule("CCO |junk|")
    with pytest.raises(StructureError, match="not a valid SMILES: unclosed ring"):
        read_molecule("C1CO |&1:1|")


@pytest.mark.parametrize("text", ["CCO |", "CCO |o1:1| name", "CCO || ||"])
def test_text_after_the_structure_is_no_extension(text):
    with pytest.raises(StructureError, match="text after the structure"):
        read_molecule(text)


def test_enhanced_stereo_does_not_order_atoms():
    mol = with_conformer("C[C@@H](F)C[C@@H](F)C")
    plain = read_molecule(mol)
    grouped = Chem.RWMol(mol)
    group = Chem.CreateStereoGroup(Chem.StereoGroupType.STEREO_OR, grouped, [4])
    grouped.SetStereoGroups([group])
    assert read_molecule(grouped).key == plain.key
    assert len(grouped.GetStereoGroups()) == 1
