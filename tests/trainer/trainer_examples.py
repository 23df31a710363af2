"""Small molecules with synthetic labels."""

import numpy as np
from rdkit import Chem
from rdkit.Chem import AllChem

SMILES = [
    "CCO",
    "CC(=O)O",
    "C[C@H](N)C(=O)O",
    "C[C@@H](O)C(N)=O",
    "c1ccccc1",
    "Cc1ccncc1",
    "CC[N+](C)(C)C",
    "CSCC#N",
    "OCC(O)CO",
    "CC(C)Cl",
]
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
DRUGS = [
    ASPIRIN,
    "CN1CCC[C@H]1c1cccnc1",
    "CC(C)(C)NCC(O)c1cc(Cl)c(N)c(Cl)c1",
    "NS(=O)(=O)c1ccc(cc1)C(=O)NCc1ccco1",
    "O=C(Nc1ccc(F)cc1)Nc1nccs1",
    "C[N+](C)(C)CCO",
    "N#Cc1ccc(cc1)[N+](=O)[O-]",
    "O=C1CCC(=O)N1CCN1CCOCC1",
    "c1ccc2[nH]ncc2c1",
    "CSCC(N)C(=O)OC",
]


def embedded(smiles, seed=0):
    """Molecule with hydrogens in SMILES order, and positions [N, 3]."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=seed) == 0
    return mol, mol.GetConformer().GetPositions()


def write_labels(path, smiles, conformers=3):
    """Labels in the format of shared/data/xtb: energies by element and noise, all else random.

    The first conformer of each molecule is said to be relaxed.
    """
    rng = np.random.default_rng(0)
    rows = [(row, *embedded(text, seed)) for row, text in enumerate(smiles) for seed in range(conformers)]
    numbers = [np.array([a.GetAtomicNum() for a in mol.GetAtoms()], np.uint8) for _, mol, _ in rows]
    atoms = sum(map(len, numbers))
    np.savez(
        path,
        numbers=np.concatenate(numbers),
        positions=np.concatenate([np.round(p / 0.001) for *_, p in rows]).astype(np.int16),
        offsets=np.concatenate([[0], np.cumsum([len(z) for z in numbers])]),
        forces=rng.normal(0, 0.3, (atoms, 3)).astype(np.float16),
        charges=rng.normal(0, 0.2, atoms).astype(np.float16),
        energy=np.array([-3.0 * z.sum() for z in numbers]) + rng.normal(0, 0.05, len(rows)),
        dipole=rng.normal(0, 0.5, (len(rows), 3)).astype(np.float32),
        homo=rng.normal(-10, 1, len(rows)).astype(np.float32),
        lumo=rng.normal(-7, 1, len(rows)).astype(np.float32),
        total_charge=np.array([Chem.GetFormalCharge(mol) for _, mol, _ in rows], np.int8),
        kind=np.array([2, *[0] * (conformers - 1)] * len(smiles), np.uint8),
        row=np.array([row for row, *_ in rows], np.int32),
    )
