"""Random, mangled and extreme inputs: `fuzz_inputs(count, seed)` gives the same ones again."""

import math

import ase
import numpy as np
from rdkit import Chem
from structure_examples import DIVERSE

ALPHABET = "CNOPSFIBclnosp[]()=#$:/\\@+-.%0123456789HBrSiNaFeUXx*~ {}^&!?'\"\tÅ\x00\udcff"
EXTREME = [
    None,
    math.nan,
    np.nan,
    "",
    " ",
    ".",
    "..",
    "C.",
    "()",
    "[]",
    "[[C]]",
    "%",
    "C" * 1000,
    "C" * 100_000,
    "(" * 5000,
    "C(" * 3000 + ")" * 3000,
    "C1" * 500,
    "C1CC1" * 190,
    "[" * 1000,
    "N[C@@H](C)C(=O)" * 50 + "O",
    "c1ccccc1" * 20,
    "[H]",
    "[H][H]",
    "[H+]",
    "[H-]",
    "[2H][3H]",
    "[He]",
    "[U]",
    "[Og]",
    "[Fe+2]",
    "[Pt](Cl)(Cl)(N)N",
    "Cl[Pt@SP1](Cl)([NH3])[NH3]",
    "[Fe]12345(C6=C1C2=C3C4=C56)",
    "[CH2]",
    "[C]",
    "[CH3]",
    "[C-4]",
    "[Na+].[Cl-]",
    "[O-][N+](=O)c1ccccc1.[K+].[K+].O.O",
    "[999C]",
    "[CH3:99999]",
    "C1CC=1",
    "C12C3C4C1C5C2C3C45",
    "C1C[C@@H]2C[C@@H]1[C@H]1C[C@@H]21",
    "C12=C3C1=C23",
    "C1#CC1",
    "F[S@OH5](F)(F)(F)(F)Cl",
    "C->[Fe]",
    "InChI=1S/",
    "InChI=1S/C60",
    "InChI=1S/CH4/h1H4",
    "InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3/b99-1+",
    "/etc/passwd.sdf",
    ".sdf",
    "\x00.mol",
    0,
    1.5,
    True,
    b"CCO",
    ["CCO"],
    object(),
    Chem.Mol(),
    Chem.MolFromSmarts("[C,N]~[#6]"),
    ase.Atoms(),
    ase.Atoms("X2"),
    ase.Atoms("H2"),
    ase.Atoms("Cu", pbc=True),
]


def fuzz_inputs(count, seed=0):
    """Yield `count` inputs: the extreme ones once, then random ones of five kinds."""
    rng = np.random.default_rng(seed)
    kinds = [mangled, mangled, glued, bracket, noise, broken_mol, random_atoms]
    for i in range(count):
        yield EXTREME[i] if i < len(EXTREME) else kinds[rng.integers(len(kinds))](rng)


def pick(rng, options):
    return options[rng.integers(len(options))]


def mangled(rng):
    """A molecule's SMILES with a few characters changed."""
    text = list(pick(rng, DIVERSE))
    for _ in range(rng.integers(1, 4)):
        at = rng.integers(len(text) + 1)
        text[at : at + rng.integers(0, 2)] = pick(rng, ALPHABET) if rng.random() < 0.7 else []
    return "".join(text)


def glued(rng):
    """Several molecules with something between them."""
    return pick(rng, ["", ".", "=", "/", "1", "->"]).join(
        pick(rng, DIVERSE) for _ in range(rng.integers(2, 4))
    )


def bracket(rng):
    """Any element in any charge state, isotope and number of hydrogens, on a small molecule."""
    element = Chem.GetPeriodicTable().GetElementSymbol(int(rng.integers(1, 119)))
    isotope = pick(rng, ["", "", "", "3", "200"])
    hydrogens = pick(rng, ["", "", "H", "H2", "H4"])
    charge = pick(rng, ["", "", "+", "-", "+3", "-4"])
    tail = pick(rng, ["", "C", "(C)C", "(Cl)(Cl)Cl", "=O", "c1ccccc1", "(C)(C)(C)(C)C", ".CC", "#N"])
    return f"[{isotope}{element}{hydrogens}{charge}]{tail}"


def noise(rng):
    """Characters without meaning."""
    return "".join(pick(rng, ALPHABET) for _ in range(rng.integers(1, 30)))


def broken_mol(rng):
    """An RDKit molecule with random coordinates, some of them impossible."""
    mol = Chem.MolFromSmiles(pick(rng, DIVERSE), sanitize=bool(rng.random() < 0.8))
    positions = rng.normal(scale=pick(rng, [0.0, 0.05, 3.0, 1e6]), size=(mol.GetNumAtoms(), 3))
    if rng.random() < 0.3:
        positions[rng.integers(len(positions)), rng.integers(3)] = pick(rng, [math.nan, math.inf, 1e300])
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(positions)
    conformer.Set3D(bool(rng.random() < 0.8))
    mol.AddConformer(conformer)
    return mol


def random_atoms(rng):
    """ASE atoms anywhere."""
    count = int(rng.integers(1, 20))
    positions = rng.normal(scale=pick(rng, [0.0, 2.0, 100.0, 1e200]), size=(count, 3))
    return ase.Atoms(
        rng.integers(0, 125, count) if rng.random() < 0.2 else rng.integers(1, 119, count), positions
    )
