"""Whether rows of relaxed conformers predict better: as ETKDG made them, in MMFF94, in the potential beneath.

``python -m skmol3d.benchmark.experiments.relaxation TABLE [TABLE ...] [--molecules 400] [--fmax 0.1]``

Each TABLE is a task of the benchmark (``smiles``, ``y``, ``split``), of which molecules of the training part
are drawn; test parts are not looked at. Every molecule keeps its one ETKDGv3 conformer as it is, or
relaxed to forces below ``--fmax`` (eV/Å) or for at most ``--steps`` steps. Prints the mean absolute error of
five shuffled folds for ridge on rows as they come and kernel ridge, and what its geometries take.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from ase import Atoms
from ase.optimize import LBFGS
from numpy.typing import NDArray
from rdkit import Chem
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import KFold

from skmol3d import PotentialCalculator, REM3DIFeaturizer
from skmol3d.benchmark.heads import fit_head
from skmol3d.benchmark.report import markdown
from skmol3d.structures import ConformerSettings, StructureError, embed, read_molecule

HEADS = {"unscaled": "ridge", "kernel": "kernel ridge"}
FOLDS = 5

Relax = Callable[[Atoms], NDArray[np.float64]]


def training_molecules(path: str, most: int) -> pd.DataFrame:
    """At most so many rows of a task's training part, drawn at random."""
    table = pd.read_csv(path)
    table = table[table["split"] == "train"]
    return table.sample(min(len(table), most), random_state=0)


def with_geometry(smiles: str, relax: str | None, move: Relax | None) -> Chem.Mol:
    """The molecule with the featurizer's first conformer, moved where there is something to move it."""
    molecule = read_molecule(smiles)
    made = embed(molecule, ConformerSettings(relax=relax))
    positions = made.positions[0].astype(np.float64)
    if move is not None:
        positions = move(Atoms(made.numbers, positions, info={"charge": made.charge}))
    assert molecule.mol is not None
    mol = Chem.Mol(molecule.mol)
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(positions)
    mol.AddConformer(conformer)
    return mol


def relaxed_by(calculator: PotentialCalculator, fmax: float, steps: int) -> Relax:
    """What relaxes a geometry in a potential."""

    def move(atoms: Atoms) -> NDArray[np.float64]:
        atoms.calc = calculator
        LBFGS(atoms, logfile=os.devnull).run(fmax=fmax, steps=steps)
        return np.asarray(atoms.positions)

    return move


def errors(rows: NDArray[np.float32], y: NDArray[np.float64]) -> list[float]:
    """Mean absolute error of each head over all folds."""
    found = []
    for head in HEADS:
        predicted = np.empty(len(y))
        for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(rows):
            predicted[test] = fit_head(head, "reg", rows[train], y[train], rows[test]).prediction
        found.append(mean_absolute_error(y, predicted))
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Relax, encode, fit and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", metavar="TABLE")
    parser.add_argument("--molecules", type=int, default=400)
    parser.add_argument("--model", default="rem3di-small")
    parser.add_argument("--potential", default="ec-xtb-small")
    parser.add_argument("--fmax", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args(argv)
    move = relaxed_by(PotentialCalculator(args.potential, "cpu", "float32"), args.fmax, args.steps)
    ways: dict[str, tuple[str | None, Relax | None]] = {
        "ETKDGv3": (None, None),
        "MMFF94": ("mmff", None),
        args.potential: (None, move),
    }
    lines = []
    for path in args.tables:
        table = training_molecules(path, args.molecules)
        geometries, seconds = _geometries(list(table["smiles"]), ways)
        kept = [i for i in range(len(table)) if all(mols[i] is not None for mols in geometries.values())]
        y = table["y"].to_numpy(np.float64)[kept]
        for name, mols in geometries.items():
            rows = REM3DIFeaturizer(args.model, device="cpu").fit_transform([mols[i] for i in kept])
            scores = [f"{error:.3f}" for error in errors(rows, y)]
            lines.append([path, name, str(len(kept)), *scores, f"{1000 * seconds[name] / len(table):.0f}"])
    print(markdown(lines, ["table", "geometry", "molecules", *HEADS.values(), "ms/molecule"]))


def _geometries(
    smiles: list[str], ways: dict[str, tuple[str | None, Relax | None]]
) -> tuple[dict[str, list[Chem.Mol | None]], dict[str, float]]:
    """Molecules with the geometry of each way, None where there is none, and what each took, s."""
    made: dict[str, list[Chem.Mol | None]] = {}
    seconds = {}
    for name, (relax, move) in ways.items():
        start = time.perf_counter()
        made[name] = []
        for text in smiles:
            try:
                made[name].append(with_geometry(text, relax, move))
            except StructureError:
                made[name].append(None)
        seconds[name] = time.perf_counter() - start
    return made, seconds


if __name__ == "__main__":
    main()
