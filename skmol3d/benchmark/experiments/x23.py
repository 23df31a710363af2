"""Do lattice energies order different compounds: ``python -m skmol3d.benchmark.experiments.x23 FILE``.

FILE holds the 23 crystals of the X23 set, named in their headers. Printed are Spearman's rank correlations
with the published lattice energies: of the number of heavy atoms per molecule, which anything worth its name
has to beat, of the Buckingham energy, of the lattice energy of a pretrained potential, and of what a
checkpoint of `CrystalEnergyRegressor` predicts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from skmol3d import CrystalEnergyRegressor
from skmol3d.benchmark.report import markdown
from skmol3d.calculator import PotentialCalculator
from skmol3d.crystals import MolecularCrystal, iter_crystals
from skmol3d.crystals.energies import RigidCrystals, buckingham, lattice_energies, lattice_energy
from skmol3d.hub import from_pretrained

LATTICE_ENERGIES = {
    "acetic": -72.8,
    "adaman": -69.4,
    "ammonia": -37.2,
    "anthracene": -112.7,
    "benzene": -51.7,
    "CO2": -28.4,
    "cyanamide": -79.7,
    "cytosine": -162.8,
    "ethcar": -86.3,
    "formamide": -79.2,
    "hexamine": -86.2,
    "hexdio": -88.6,
    "imdazole": -86.8,
    "naph": -81.7,
    "oxaca": -96.3,
    "oxacb": -96.1,
    "pyrazine": -61.3,
    "pyrazole": -77.7,
    "succinic": -130.3,
    "triazine": -61.7,
    "trioxane": -66.4,
    "uracil": -135.7,
    "urea": -102.5,
}
"""kJ/mol, from measured sublimation enthalpies: A. M. Reilly and A. Tkatchenko, doi:10.1063/1.4812819."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--energies", default="crystal-energy-small", help="checkpoint of crystal energies")
    parser.add_argument("--potential", default="ec-xtb-small")
    args = parser.parse_args(argv)
    records: list[Any] = list(iter_crystals(args.file))
    crystals = [MolecularCrystal.read(record) for record in records]
    published = np.array([LATTICE_ENERGIES[record.info["name"]] for record in records])
    heavy = np.array([(crystal.to_atoms().numbers > 1).sum() / crystal.z for crystal in crystals])
    soft = lattice_energies(RigidCrystals.from_crystals(crystals), buckingham).numpy()
    potential: Any = from_pretrained(args.potential)
    calculator = PotentialCalculator(potential)
    hard = np.array([lattice_energy(crystal, calculator) for crystal in crystals])
    regressor = CrystalEnergyRegressor.from_pretrained(args.energies)
    predicted = regressor.predict(regressor.featurizer().fit_transform(crystals))
    guesses = {
        "number of heavy atoms": -heavy,
        "Buckingham energy": soft,
        f"lattice energy of {args.potential}": hard,
        **{
            f"{args.energies}: {name}": column
            for name, column in zip(regressor.network_.config.targets, predicted.T, strict=True)
        },
    }
    lines = [[name, f"{spearmanr(found, published).statistic:.2f}"] for name, found in guesses.items()]
    print(f"{len(crystals)} crystals\n")
    print(markdown(lines, ["order by", "Spearman"]))


if __name__ == "__main__":
    main()
