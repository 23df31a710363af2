"""Stereo marks that rings cannot have are found out early (REVIEW B3)."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from skmol3d.structures import ConformerSettings, StructureError, conformers, embed, read_molecule
from skmol3d.structures.stereo import STRAINED, _skeleton, ring_stereo_possible, ring_systems, stereo_kept

IMPOSSIBLE = [
    "Cn1cc(Nc2nccc(N3C[C@H]4CC[C@H](C3)N4C(=O)NCC#N)n2)cn1",  # bridgeheads of a diazabicyclooctane
    "C1C[C@@H]2C[C@@H]1[C@H]1C[C@@H]21",
    "CCCCS(=O)(=O)N1[C@H]2CC[C@H]1CC(Oc1ncnc(Oc3cccnc3C)c1C)C2",
    "CO[C@H]1C[C@@H]2N[C@H]21",
    "O=C1C=CC(=O)[C@H]2C[C@H]12",  # a cyclopropane fused to both sides
]
POSSIBLE = [
    "Cn1cc(Nc2nccc(N3C[C@H]4CC[C@@H](C3)N4C(=O)NCC#N)n2)cn1",
    "CN1[C@H]2CC[C@@H]1[C@H]([C@H](C2)OC(=O)C3=CC=CC=C3)C(=O)OC",  # cocaine
    "C[C@]12CC[C@H]3[C@H]([C@@H]1CC[C@@H]2O)CCC4=C3C=CC(=C4)O",  # estradiol
    "CC1(C)[C@@H]2CC[C@@]1(C)C(=O)C2",  # camphor
    "CC1(C)S[C@@H]2[C@H](NC(=O)Cc3ccccc3)C(=O)N2[C@H]1C(=O)O",  # penicillin G
    "C[C@]12CC(=O)[C@H]1CC[N+]2(C)C",
]
STRAINED_BUT_REAL = [  # marks and rings of QM9's B3LYP geometries
    "C[C@@]12O[C@]1(C)[C@H]1C[C@H]12",
    "CC(=O)[C@H]1O[C@H]2C[C@H]21",
    "CO[C@H]1C[C@H]2N[C@@H]12",
    "C1O[C@@H]2[C@H]1[C@@H]1O[C@H]21",
    "C1=C[C@H]2[C@H]3[C@H]4[C@@H]1[C@H]4N32",
    "N#C[C@@]12CC(=O)[C@@H]1N2",
]

CIS_AND_TRANS = {
    Chem.BondStereo.STEREOZ: Chem.BondStereo.STEREOE,
    Chem.BondStereo.STEREOE: Chem.BondStereo.STEREOZ,
    Chem.BondStereo.STEREOCIS: Chem.BondStereo.STEREOTRANS,
    Chem.BondStereo.STEREOTRANS: Chem.BondStereo.STEREOCIS,
}


@pytest.mark.parametrize("relax", [None, "mmff"])
@pytest.mark.parametrize("smiles", STRAINED_BUT_REAL)
def test_centres_of_three_and_four_membered_rings_are_embedded(smiles, relax):
    """They lie outside of the tetrahedron of their neighbours: 952 of 20,000 of QM9 were refused."""
    molecule = read_molecule(smiles)
    made = embed(molecule, ConformerSettings(relax=relax))
    mol = Chem.Mol(molecule.mol)
    mol.AddConformer(Chem.Conformer(len(made.numbers)))
    mol.GetConformer().SetPositions(made.positions[0])
    assert stereo_kept(mol)
    bonds = made.positions[0][made.bonds]
    assert np.linalg.norm(bonds[:, 0] - bonds[:, 1], axis=1).max() < 1.75


@pytest.mark.slow
@pytest.mark.parametrize("smiles", IMPOSSIBLE)
def test_contradictions_are_named_after_few_attempts(smiles, monkeypatch):
    attempts = []
    embed_molecule = rdDistGeom.EmbedMolecule

    def counting(mol, parameters):
        attempts.append((mol.GetNumAtoms(), parameters.maxIterations))
        return embed_molecule(mol, parameters)

    monkeypatch.setattr(rdDistGeom, "EmbedMolecule", counting)
    molecule = read_molecule(smiles)
    with pytest.raises(StructureError, match="marks of stereocentres shared by rings"):
        embed(molecule, ConformerSettings())
    whole = [count for atoms, count in attempts if atoms == len(molecule.numbers)]
    assert whole[0] == conformers.TRIAL
    assert sum(count for _, count in attempts) <= conformers.TRIAL + 100 + STRAINED


@pytest.mark.parametrize("smiles", POSSIBLE)
def test_what_can_be_is_possible(smiles):
    mol = read_molecule(smiles).mol
    assert ring_stereo_possible(mol, ring_systems(mol), seed=1, timeout=30)


@pytest.mark.parametrize(
    "smiles", ["CCO", "C[C@H]1CC[C@@H](O)CC1", "C[C@H]1CC2(CC[C@@H]1O)CC2", "c1ccc2ccccc2c1"]
)
def test_rings_that_share_no_two_stereocentres_are_not_looked_at(smiles):
    assert ring_systems(read_molecule(smiles).mol) == []


def test_a_single_centre_of_fused_rings_is_not_looked_at():
    assert ring_systems(read_molecule("C1CCC2CCCC[C@]2(C)C1").mol) == []


@pytest.mark.parametrize("smiles", [IMPOSSIBLE[1], IMPOSSIBLE[3], IMPOSSIBLE[4]])
def test_what_cannot_be_is_not_possible(smiles):
    mol = read_molecule(smiles).mol
    assert not ring_stereo_possible(mol, ring_systems(mol), seed=1, timeout=30)


def test_a_skeleton_keeps_double_bonds_as_oxygen_and_the_rest_as_fluorine():
    mol = read_molecule("CC1(C)[C@@H]2CC[C@@]1(C)C(=O)[C@@H]2CCc1ccccc1").mol
    (system,) = ring_systems(mol)
    assert Chem.MolToSmiles(Chem.RemoveHs(_skeleton(mol, system)), isomericSmiles=False) == Chem.CanonSmiles(
        "FC1C(=O)C2(F)CCC1C2(F)F"
    )


@pytest.mark.parametrize("smiles", ["C/C=C/C", "F/C(Cl)=C(/Br)C", "C[C@H](F)Cl", "C[C@H](N)/C=C\\O"])
def test_marks_are_compared_with_the_geometry(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=1) == 0
    assert stereo_kept(mol)
    for double in (b for b in mol.GetBonds() if b.GetStereo() in CIS_AND_TRANS):
        turned = Chem.Mol(mol)
        turned.GetBondWithIdx(double.GetIdx()).SetStereo(CIS_AND_TRANS[double.GetStereo()])
        assert not stereo_kept(turned)
    if "@" in smiles:
        mirrored = Chem.Mol(mol)
        mirrored.GetConformer().SetPositions(-mol.GetConformer().GetPositions())
        assert not stereo_kept(mirrored)


def test_skeletons_that_are_no_molecules_count_as_possible():
    mol = read_molecule("O=S1(=O)[C@H]2CC[C@@H]1CC2").mol
    assert ring_stereo_possible(mol, ring_systems(mol), seed=1, timeout=30)
