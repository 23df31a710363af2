"""A grid search under cross-validation: what is computed how often, and how much memory it takes.

``python -m skmol3d.benchmark.experiments.cross_validation [--n 20000] [--input FILE]``

Ten alphas of ridge regression in five folds fit the pipeline 50 times, and once more at the end. Conformers
and encodings are counted where they are made, and compared with the number of distinct molecules (mirror
images share a conformer). The target is Crippen's logP; a molecule that fails counts as average.
"""

import argparse
import resource
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from rdkit.Chem.rdMolDescriptors import CalcCrippenDescriptors
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmol3d import REM3DIFeaturizer, inference, set_cache_bytes
from skmol3d.benchmark.experiments.memory import enumerated
from skmol3d.featurizers import cache
from skmol3d.structures import Molecule, StructureError, conformer_cache, read_molecule, read_records
from skmol3d.structures.enantiomers import embedded_enantiomer

ALPHAS = np.logspace(1, 7, 10)


def distinct(inputs: Iterator[object]) -> Iterator[tuple[str, Molecule]]:
    """SMILES of the molecules among `inputs`, each molecule once."""
    seen = set()
    for value in inputs:
        try:
            molecule = read_molecule(value)
        except StructureError:
            continue
        if molecule.smiles is not None and molecule.smiles not in seen:
            seen.add(molecule.smiles)
            yield molecule.smiles, molecule


class Counted:
    """Wraps a function and counts the items of one of its arguments, a collection."""

    def __init__(self, function: Any, place: int) -> None:
        self.function, self.place, self.count = function, place, 0

    def __call__(self, *args: Any) -> Any:
        args = tuple(list(arg) if i == self.place else arg for i, arg in enumerate(args))
        self.count += len(args[self.place])
        return self.function(*args)


def main(argv: Sequence[str] | None = None) -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, help="file of molecules (default: enumerated molecules)")
    parser.add_argument("--smiles-column")
    parser.add_argument("--n", type=int, default=20_000, help="distinct molecules (default: 20000)")
    parser.add_argument("--n-jobs", type=int, default=1, help="processes that make conformers")
    parser.add_argument("--model", default="rem3di-small")
    parser.add_argument("--blocks", nargs="+", default=["dense"], help="(default: dense)")
    parser.add_argument("--cache-dir")
    parser.add_argument("--conformer-bytes", type=int, help="bound of the conformers in memory")
    parser.add_argument("--row-bytes", type=int, help="bound of the rows in memory")
    args = parser.parse_args(argv)
    inputs: Iterator[object] = enumerated()
    if args.input:
        inputs = (record.structure for record in read_records(args.input, smiles_column=args.smiles_column))
    smiles, images, target = [], set(), []
    for text, molecule in islice(distinct(inputs), args.n):
        smiles.append(text)
        images.add(embedded_enantiomer(molecule).molecule.smiles)
        target.append(CalcCrippenDescriptors(molecule.mol)[0])
    set_cache_bytes(conformers=args.conformer_bytes, rows=args.row_bytes)
    cache.clear()
    featurizer = REM3DIFeaturizer(
        args.model, blocks=tuple(args.blocks), n_jobs=args.n_jobs, errors="nan", cache_dir=args.cache_dir
    )
    search = GridSearchCV(
        make_pipeline(featurizer, SimpleImputer(), StandardScaler(), Ridge()),
        {"ridge__alpha": ALPHAS},
        cv=KFold(5, shuffle=True, random_state=0),
    )
    made, encoded = Counted(conformer_cache.generate, 0), Counted(inference.encode, 1)
    start, before = time.perf_counter(), _peak_mb()
    with patch.object(conformer_cache, "generate", made), patch.object(inference, "encode", encoded):
        search.fit(smiles, target)
    fits = len(ALPHAS) * search.cv.get_n_splits() + 1
    print(f"molecules: {len(smiles)}; without mirror images: {len(images)}; fits of the pipeline: {fits}")
    print(f"conformers made: {made.count} ({made.count / len(images):.2f} a molecule)")
    print(f"conformers encoded: {encoded.count} ({encoded.count / len(smiles):.2f} a molecule)")
    for name, memory in (("conformers", conformer_cache.CACHE.memory), ("rows", cache.CACHE.memory)):
        print(
            f"{name} in memory: {memory.size / 2**20:.1f} of at most {memory.max_bytes / 2**20:.1f} MiB; "
            f"found {memory.hits} of {memory.hits + memory.misses} times"
        )
    seconds = time.perf_counter() - start
    print(f"time: {seconds:.0f} s; peak memory: {_peak_mb():.0f} MB ({before:.0f} before)")
    print(f"R² of the best alpha: {search.best_score_:.3f}")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
