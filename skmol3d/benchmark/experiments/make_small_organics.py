"""Make the shipped table of small organic molecules.

``python -m skmol3d.benchmark.experiments.make_small_organics OUT.csv [--rows 2000]`` (five minutes on one
core) needs ``pip install "skmol3d[labels]"``. The molecules come from the rules below and from no data set:
scaffolds, each with up to three substituents at random sites. The labels are GFN2-xTB single points on the
conformer of lowest MMFF94 energy out of ten (ETKDGv3, MMFF94-relaxed).
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from rdkit import Chem
from rdkit.Chem import rdDistGeom

SEED = 20261121
MAX_HEAVY_ATOMS = 14
DRAWS_PER_SCAFFOLD = 20
ENANTIOMER_PAIRS = 50

# No allenes: MMFF94 relaxes conjugated ones to a planar C=C=C, whose gap is near zero.
SCAFFOLDS = {
    "six-membered aromatic": "c1ccccc1 c1ccncc1 c1cncnc1 c1cnccn1 c1ccnnc1",
    "five-membered aromatic": "c1ccoc1 c1ccsc1 c1cc[nH]c1 c1c[nH]cn1 c1cn[nH]c1 c1cocn1 c1cscn1 c1cnoc1 "
    "c1cnsc1 c1nnc[nH]1 c1nnco1",
    "fused aromatic": "c1ccc2ccccc2c1 c1ccc2[nH]ccc2c1 c1ccc2occc2c1 c1ccc2sccc2c1 c1ccc2ncccc2c1 "
    "c1ccc2cnccc2c1 c1ccc2[nH]cnc2c1 c1ccc2ocnc2c1 c1ccc2cccc-2cc1 c1ccn2ccnc2c1 c1ccc2CCCc2c1 "
    "c1ccc2OCCc2c1 c1ccc2OCOc2c1",
    "two aromatic rings": "c1ccccc1-c1ccccc1 c1ccccc1-c1ccccn1 c1ccccc1-c1cccs1 c1ccccc1Oc1ccccc1 "
    "c1ccoc1-c1ccoc1",
    "aryl": "C=Cc1ccccc1 C#Cc1ccccc1 CNc1ccccc1 COc1ccccc1 CC(=O)c1ccccc1 CNC(=O)c1ccccc1 C=Nc1ccccc1 "
    "CCc1ccccn1 CC(=O)c1ccco1",
    "saturated carbocycle": "C1CC1 C1CCC1 C1CCCC1 C1CCCCC1 C1CCCCCC1",
    "unsaturated carbocycle": "C1=CCCC1 C1=CCCCC1 C1=CC=CCC1 C1=CC=CC=CC1 C=C1CCCC1",
    "saturated heterocycle": "C1COC1 C1CNC1 C1CCOC1 C1CCNC1 C1CCSC1 C1CCOCC1 C1CCNCC1 C1COCCN1 C1CNCCN1 "
    "C1OCCO1",
    "cyclic carbonyl": "O=C1CCC1 O=C1CCCC1 O=C1CCCCC1 O=C1C=CCC1 O=C1C=CCCC1 O=C1CCCO1 O=C1CCCN1 "
    "O=C1CCC(=O)N1 O=C1C=CC(=O)C=C1 O=c1cccco1 O=c1cccc[nH]1 O=C1NCCN1",
    "polycyclic": "C1CC2CCC1C2 C1=CC2CCC1C2 C1CC2CCC1CC2 C1C2CC1C2 C1CC2CCC1O2 C1CN2CCC1CC2 C1CC2(C1)CCC2 "
    "C12C3C4C1C5C4C3C25 C1CCC2CCCCC2C1 C1C2CC3CC1CC(C2)C3",
    "chain": "CC CCC CCCC CC(C)C CCCCC CC(C)CC C=CC CC=CC C=C(C)C C=CC=C C=CC=CC=C CC#C CC#CC C=CCC=C",
    "functional chain": "CCO COC CCOCC CCN CCNC CN(C)C CSC CCSC CS(C)=O CC(C)=O CCC=O CC=CC=O "
    "CC(=O)CC(C)=O CC(=O)O CC(=O)OC CC(=O)N CC(=O)NC CN(C)C=O CNC(=O)NC CCC#N CC(C)O CC(N)C(=O)O "
    "CC(O)C(=O)OC CC=NC CC(=O)C(C)=O",
}
# Each written from the atom that binds the scaffold.
SUBSTITUENTS = (
    "C CC C(C)C C1CC1 C=C C#C C#N F Cl Br O OC OC(F)(F)F N NC N(C)C NC(C)=O [N+](=O)[O-] C=O C(C)=O C(=O)O "
    "C(=O)OC C(N)=O C(F)(F)F C(F)F CO CN COC CC#N S SC S(C)=O S(C)(=O)=O S(N)(=O)=O c1ccccc1 c1ccco1 c1cccnc1"
)
# Groups that fall apart, hydrolyse or tautomerise on standing.
UNSTABLE = [
    Chem.MolFromSmarts(smarts)
    for smarts in (
        "[#7;+0]-!@[#7,#8,F,Cl,Br]",
        "[#7]-!@[SX2,SX3]",
        "[#8]-!@[#8,SX2,SX3,F,Cl,Br]",
        "[#16]-!@[#16]",
        "[SX2,SX3]-!@[F,Cl,Br]",
        "[#7;+0]-!@[N+](=O)[O-]",
        "[CX4;!$(C(F)F)](-!@[!#6;!#1])~[!#6;!#1]",  # aminals, hemiacetals, geminal halides; CF2 and CF3 stay
        "[CX4;$(C(F)F)]-[#7;!a,Cl,Br]",
        "C(=C)[OX2H,SX2H,NX3H2,NX3H1]",
        "C#C-[!#6;!#1]",
        "C(=O)[F,Cl,Br,SX2H]",
        "[#7,#8,SX2;!a]C(=O)[OX2H]",
        "[CX3;!a](=[NX2])-[!#6;!#1]",
        "C=[NX2H]",
        "[#7,#8]-!@C#N",
        "[#6](=O)C#N",
    )
]


def attach(scaffold: Chem.Mol, site: int, substituent: Chem.Mol) -> Chem.Mol:
    """Bind the first atom of a substituent to an atom of the scaffold, in place of one of its hydrogens."""
    joined = Chem.RWMol(Chem.CombineMols(scaffold, substituent))
    first = scaffold.GetNumAtoms()
    joined.AddBond(site, first, Chem.BondType.SINGLE)
    atom = joined.GetAtomWithIdx(site)
    atom.SetNumExplicitHs(max(0, atom.GetNumExplicitHs() - 1))  # pyrrole's [nH]
    joined.GetAtomWithIdx(first).SetNumRadicalElectrons(0)  # nitro's [N+], parsed on its own
    Chem.SanitizeMol(joined)
    return joined.GetMol()


def draw(scaffold: Chem.Mol, rng: np.random.Generator) -> Chem.Mol | None:
    """One random product of a scaffold with one to three substituents; None if the rules forbid it."""
    product = scaffold
    for _ in range(rng.choice([1, 2, 3], p=[0.35, 0.45, 0.20])):
        sites = [
            atom.GetIdx()
            for atom in list(product.GetAtoms())[: scaffold.GetNumAtoms()]
            if atom.GetTotalNumHs() and atom.GetSymbol() in ("C", "N")
        ]
        if not sites:
            return None
        product = attach(
            product, int(rng.choice(sites)), Chem.MolFromSmiles(str(rng.choice(SUBSTITUENTS.split())))
        )
    if product.GetNumHeavyAtoms() > MAX_HEAVY_ATOMS or any(map(product.HasSubstructMatch, UNSTABLE)):
        return None
    return product


def fix_stereo(molecule: Chem.Mol, rng: np.random.Generator) -> str:
    """Canonical SMILES of one random stereoisomer that exists in three dimensions; "" if none was found."""
    seed = int(rng.integers(2**31))
    if Chem.FindMolChiralCenters(molecule, includeUnassigned=True) or "=" in Chem.MolToSmiles(molecule):
        # Drawing labels first would mostly give impossible ring fusions; coordinates first never do.
        molecule = Chem.AddHs(molecule)
        if rdDistGeom.EmbedMolecule(molecule, maxAttempts=20, randomSeed=seed) == -1:
            return ""
        Chem.AssignStereochemistryFrom3D(molecule)
        molecule = Chem.RemoveHs(molecule)
    # Re-parsed: a stereocentre lost to symmetry only disappears on reading.
    return Chem.CanonSmiles(Chem.MolToSmiles(molecule))


def mirror_image(smiles: str) -> str:
    """Canonical SMILES of the enantiomer, or the same SMILES if the molecule is achiral."""
    molecule = Chem.MolFromSmiles(smiles)
    for atom in molecule.GetAtoms():
        atom.InvertChirality()
    return Chem.CanonSmiles(Chem.MolToSmiles(molecule))


def enumerate_molecules(seed: int = SEED) -> list[str]:
    """Canonical SMILES of all scaffolds and of random products, unique, in random order."""
    rng = np.random.default_rng(seed)
    smiles: dict[str, None] = {}
    for scaffold in map(Chem.MolFromSmiles, " ".join(SCAFFOLDS.values()).split()):
        smiles.setdefault(fix_stereo(scaffold, rng))
        wanted = len(smiles) + DRAWS_PER_SCAFFOLD
        for _ in range(20 * DRAWS_PER_SCAFFOLD):  # a small scaffold may have fewer distinct products
            product = draw(scaffold, rng)
            if product is not None:
                smiles.setdefault(fix_stereo(product, rng))
            if len(smiles) >= wanted:
                break
    smiles.pop("", None)
    molecules = list(smiles)
    return [molecules[i] for i in rng.permutation(len(molecules))]


def label(smiles: str) -> tuple[float, float, float, float]:
    """HOMO, LUMO, gap (eV) and dipole moment (Debye) of one molecule, as the table holds them.

    Parameters
    ----------
    smiles : str
        A neutral closed-shell molecule.

    Returns
    -------
    tuple of four floats

    Raises
    ------
    StructureError
        If no conformer is found.
    RuntimeError
        If GFN2-xTB does not converge.
    """
    from skmol3d.structures import ConformerSettings, embed, read_molecule
    from skmol3d.structures.xtb import DEBYE, xtb_labels

    conformers = embed(read_molecule(smiles), ConformerSettings(n_conformers=10, relax="mmff"))
    xtb = xtb_labels(conformers.numbers, conformers.positions[0], conformers.charge)
    homo, lumo = round(xtb.homo, 4), round(xtb.lumo, 4)
    return homo, lumo, round(lumo - homo, 4), round(float(np.linalg.norm(xtb.dipole)) * DEBYE, 4)


def label_rows(
    molecules: list[str], pairs: int = ENANTIOMER_PAIRS
) -> Iterator[tuple[str, float, float, float, float]]:
    """Labelled rows; the first `pairs` chiral molecules are followed by their mirror images.

    A mirror image has its partner's labels: its conformers are the partner's, reflected, and the Hamiltonian
    does not know left from right.
    """
    from skmol3d.structures import StructureError

    seen: set[str] = set()
    for smiles in molecules:
        mirror = mirror_image(smiles)
        if smiles in seen or (pairs == 0 and mirror in seen):
            continue
        try:
            labels = label(smiles)
        except (StructureError, RuntimeError) as error:
            print(f"left out {smiles}: {error}", file=sys.stderr)
            continue
        for twin in dict.fromkeys((smiles, mirror) if pairs else (smiles,)):
            seen.add(twin)
            yield (twin, *labels)
        pairs -= bool(pairs and mirror != smiles)


def main(argv: list[str] | None = None) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m skmol3d.benchmark.experiments.make_small_organics", description=__doc__
    )
    parser.add_argument("out", type=Path, help="CSV file to write")
    parser.add_argument("--rows", type=int, default=2000)
    arguments = parser.parse_args(argv)
    molecules = enumerate_molecules()
    rows = list(islice(label_rows(molecules), arguments.rows))
    if len(rows) < arguments.rows:
        raise SystemExit(f"the rules gave {len(rows)} molecules, {arguments.rows} were asked for")
    table = pd.DataFrame(rows, columns=["smiles", "homo", "lumo", "gap", "dipole"])
    table.to_csv(arguments.out, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
