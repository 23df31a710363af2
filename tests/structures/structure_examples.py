"""Molecules chosen by hand for variety: elements, charges, stereo, rings, salts, isotopes, odd valences."""

import ase
from rdkit import Chem
from rdkit.Chem import AllChem

DIVERSE = [
    "C",
    "O",
    "CCO",
    "[H][H]",
    "[He]",
    "C#N",
    "O=C=O",
    "CC(=O)Oc1ccccc1C(=O)O",
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "C[C@H](N)C(=O)O",
    "C[C@@H](N)C(=O)O",
    "N[C@@H](Cc1ccccc1)C(=O)N[C@@H](CO)C(=O)O",
    "F/C=C/F",
    "F/C=C\\F",
    "C/C=C/C=C\\C",
    "CC=CC",
    "CC(F)Cl",
    "C1CCCCC1",
    "C[C@H]1CC[C@@H](O)CC1",
    "C1C2CC3CC1CC(C2)C3",
    "C12C3C4C1C5C2C3C45",
    "C1CC2CCC1C2",
    "c1ccc2ccccc2c1",
    "c1ccc2[nH]ccc2c1",
    "c1ccsc1",
    "c1ccoc1",
    "c1cc[nH]n1",
    "C[N+](C)(C)CC(=O)[O-]",
    "CC(=O)[O-].[Na+]",
    "C[NH3+].[Cl-]",
    "CCN(CC)CC.Cl",
    "OC(=O)CC(O)(CC(=O)O)C(=O)O.CCN",
    "[Cl-]",
    "[NH4+]",
    "CS(=O)(=O)N",
    "CS(=O)C",
    "C[S@](=O)CC",
    "CP(=O)(O)O",
    "O=P(Oc1ccccc1)(Oc1ccccc1)Oc1ccccc1",
    "FS(F)(F)(F)(F)F",
    "C[Si](C)(C)C",
    "OB(O)c1ccccc1",
    "BrC(Cl)(F)I",
    "ClC(Cl)(Cl)Cl",
    "C[Se]C",
    "[CH3]",
    "[O][O]",
    "C[N+](=O)[O-]",
    "[N-]=[N+]=Nc1ccccc1",
    "C=C=C",
    "C#CC#C",
    "CC(C)(C)C(C(C)(C)C)C(C)(C)C",
    "[2H]C([2H])([2H])O",
    "[13CH4]",
    "[CH3:1][OH:2]",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O",
    "C[C@]12CC[C@H]3[C@@H](CCc4cc(O)ccc34)[C@@H]1CC[C@@H]2O",
    "CN1[C@H]2CC[C@@H]1[C@H]([C@H](C2)OC(=O)c1ccccc1)C(=O)OC",
    "O=c1[nH]c(=O)c2nc[nH]c2[nH]1",
    "C1CCCCCCCCCCC1",
    "N#Cc1ccc(cc1)-c1ccc(C(F)(F)F)cc1",
    "C[n+]1ccccc1",
    "OO",
]


def with_conformer(smiles, seed=7):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=seed) == 0
    return mol


def water():
    return ase.Atoms("OHH", [[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]])
