"""Salts, mixtures and charges: which part of a drawing is the molecule."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from skmol3d.structures import ConformerSettings, StructureError, embed, read_molecule

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
ASPIRIN_SALTS = [
    "CC(=O)Oc1ccccc1C(=O)[O-].[Na+]",
    "CC(=O)Oc1ccccc1C(=O)O[Na]",
    "[K]OC(=O)c1ccccc1OC(C)=O.O",
    "CC(=O)Oc1ccccc1C(=O)O[Ca]OC(=O)c1ccccc1OC(C)=O",
    "CC(=O)Oc1ccccc1C(=O)[O-]->[Na+]",
]


@pytest.mark.parametrize(
    ("drawn", "parent"),
    [
        ("CC(=O)O[Na]", "CC(=O)[O-]"),
        ("[K]OC", "C[O-]"),
        ("CCS[K]", "CC[S-]"),
        ("O=C1N([Na])S(=O)(=O)c2ccccc21", "O=C1[N-]S(=O)(=O)c2ccccc21"),
        ("C[Si](C)(C)N([Li])[Si](C)(C)C", "C[Si](C)(C)[N-][Si](C)(C)C"),
        ("CC(=O)O[Mg]Cl", "CC(=O)[O-]"),
        ("C=[N+]([O-])O[Na]", "C=[N+]([O-])[O-]"),
        ("[Li]OC(=O)[C@H](C)[NH3+]", "C[C@H]([NH3+])C(=O)[O-]"),
        # Carbon-metal bonds and those of other metals are not those of salts.
        ("[Li]CCCC", "[Li]CCCC"),
        ("C[Hg]OC(C)=O", "C[Hg]OC(C)=O"),
        ("[NH3][Pt](Cl)(Cl)[NH3]", "[NH3][Pt](Cl)(Cl)[NH3]"),
        ("CC(=O)O[Zn]OC(C)=O", "CC(=O)O[Zn]OC(C)=O"),
    ],
)
def test_metals_drawn_as_covalent_salts(drawn, parent):
    mol = Chem.MolFromSmiles(drawn)
    assert read_molecule(drawn).smiles == Chem.CanonSmiles(parent)
    spellings = [Chem.MolToRandomSmilesVect(mol, 1, randomSeed=seed)[0] for seed in range(5)]
    assert {read_molecule(text).key for text in spellings} == {read_molecule(parent).key}
    assert Chem.MolToSmiles(mol) == Chem.CanonSmiles(drawn)  # the caller's stays


@pytest.mark.parametrize(
    "drawn", ["[Na+].[Cl-]", "[Na]Cl", "O.[K+].[K+].[O-]S(=O)(=O)[O-]", "[Na]N=[N+]=[N-]"]
)
def test_without_an_organic_parent_nothing_is_chosen(drawn):
    for how in ("parent", "neutral"):
        with pytest.raises(StructureError, match="no organic parent: "):
            read_molecule(drawn, how)
    assert read_molecule(drawn, None).smiles == Chem.CanonSmiles(drawn)


@pytest.mark.parametrize(
    ("drawn", "name"),
    [
        ("C1CC(C1)(C(=O)[O-])C(=O)[O-].N.N.[Pt+2]", r"\[Pt\+2\]"),
        ("CCO.[Hg+2]", r"\[Hg\+2\]"),
        ("C[N+](C)(C)C.Cl[Au-](Cl)(Cl)Cl", r".*\[Au-\].*"),
    ],
)
def test_ligands_of_a_complex_drawn_as_ions_are_no_parent(drawn, name):
    with pytest.raises(StructureError, match=f"a complex drawn as ions: beside {name} its ligand"):
        read_molecule(drawn)
    assert read_molecule(drawn, None).smiles == Chem.CanonSmiles(drawn)
    assert read_molecule("CC(=O)[O-].CC(=O)[O-].[Zn+2]").smiles == "CC(=O)[O-]"


@pytest.mark.parametrize(
    ("mixture", "parent"),
    [
        ("CCCCl.CCCBr", "CCCBr"),  # as many heavy atoms: the greater mass counts
        ("CCC=O.CCCO", "CCCO"),  # hydrogens that are not drawn, too
        ("CCCO.CC(C)O", "CCCO"),  # the same mass: the later SMILES
        ("[Si][Si][Si][Si].CO", "CO"),  # no carbon
    ],
)
def test_which_of_several_is_the_parent(mixture, parent):
    assert read_molecule(mixture).smiles == Chem.CanonSmiles(parent)


@pytest.mark.parametrize("metal", ["Li", "Na", "K", "Rb", "Cs", "Be", "Mg", "Ca", "Sr", "Ba"])
def test_every_metal_of_the_first_two_groups_is_disconnected(metal):
    assert read_molecule(f"CC(=O)O[{metal}]").smiles == "CC(=O)[O-]"


def test_the_same_molecule_several_times_is_one():
    assert read_molecule("O.O.O").smiles == "O"


def test_charges_stay_unless_they_are_asked_to_go():
    assert {read_molecule(salt).smiles for salt in ASPIRIN_SALTS} == {Chem.CanonSmiles(ASPIRIN_SALTS[0][:-6])}
    assert read_molecule(ASPIRIN).smiles == Chem.CanonSmiles(ASPIRIN)
    for drawn in [ASPIRIN, *ASPIRIN_SALTS]:
        assert read_molecule(drawn, "neutral").key == read_molecule(ASPIRIN).key


@pytest.mark.parametrize(
    ("drawn", "neutral"),
    [
        ("CCN", "CCN"),
        ("CC[NH3+].[Cl-]", "CCN"),
        ("[NH3+]CC(=O)[O-]", "NCC(=O)O"),
        ("COP(=O)([O-])[O-].[Na+].[Na+]", "COP(=O)(O)O"),
        ("c1cc[nH+]cc1", "c1ccncc1"),
        ("C[N+](C)(C)CC(=O)[O-]", "C[N+](C)(C)CC(=O)[O-]"),
        ("[O-]C(=O)C[N+](C)(C)CC(=O)[O-].[Na+]", "OC(=O)C[N+](C)(C)CC(=O)[O-]"),
        ("C[n+]1ccccc1.[I-]", "C[n+]1ccccc1"),
        ("C[N+](=O)[O-]", "C[N+](=O)[O-]"),
        ("[CH3+]", "[CH3+]"),
    ],
)
def test_neutral_molecules(drawn, neutral):
    mol = Chem.MolFromSmiles(drawn)
    for seed in range(5):
        text = Chem.MolToRandomSmilesVect(mol, 1, randomSeed=seed)[0]
        assert read_molecule(text, "neutral").key == read_molecule(neutral).key
    assert read_molecule(Chem.AddHs(mol), "neutral").key == read_molecule(neutral).key


def embedded(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    return mol


@pytest.mark.parametrize(("charged", "added"), [("CC[NH3+]", -1), ("CCC(=O)[O-]", 1)])
def test_neutralised_geometries_gain_or_lose_hydrogens_alone(charged, added):
    mol = embedded(charged)
    as_drawn, neutral = read_molecule(mol), read_molecule(mol, "neutral")
    assert (neutral.charge, len(neutral.numbers)) == (0, len(as_drawn.numbers) + added)
    heavy = np.sort(mol.GetConformer().GetPositions()[[a.GetAtomicNum() > 1 for a in mol.GetAtoms()]], axis=0)
    np.testing.assert_allclose(np.sort(neutral.coordinates[0][neutral.numbers > 1], axis=0), heavy)


def test_a_salt_with_coordinates_keeps_those_of_its_parent():
    mol = Chem.CombineMols(
        embedded("CCC(=O)[O-]"), Chem.MolFromMolBlock(Chem.MolToMolBlock(embedded("[Na+]")))
    )
    molecule = read_molecule(mol)
    assert molecule.smiles == "CCC(=O)[O-]"
    assert molecule.coordinates.shape == (1, 10, 3)


def test_as_drawn_keeps_every_fragment():
    smiles = "CC(=O)[O-].[Na+]"
    molecule = read_molecule(smiles, None)
    assert molecule.smiles == Chem.CanonSmiles(smiles)
    with pytest.raises(StructureError, match="several fragments without coordinates"):
        embed(molecule, ConformerSettings())
    assert read_molecule("CC(=O)O[Na]", None).smiles == Chem.CanonSmiles("CC(=O)O[Na]")
    assert read_molecule("CCO", None).key == read_molecule("CCO").key
