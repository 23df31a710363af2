"""A foundation model as backbone: from SMILES to a ridge regression, and what it costs.

    python -m skmol3d.benchmark.experiments.foundation [--model FOLDER] [--n 500] [--complexes FILE]

Without ``--model`` a MACE of the shape of MACE-OFF23-medium (128x0e + 128x1o, two layers, l up to 3) gets
random weights: costs are those of trained ones, errors are not, and are printed for what they are. FOLDER is
a potential that ``skmol3d convert`` made. Prints, for shipped molecules, CPU seconds per thousand molecules
(one thread; conformers are made before and counted apart) and the error of five-fold predictions of the
dipole moment, for plain statistics of the potential's atoms, for a small REM3DI with random weights over it,
and for the bundled ``ec-xtb-small`` likewise. ``--complexes``: structures of metal complexes; it says how
many get a row by statistics and by a random REM3DI, and why the others do not. Without ``--model`` it is a
narrow MACE (16x0e + 16x1o) that knows all of their elements.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmol3d import PotentialFeaturizer, REM3DIFeaturizer, hub
from skmol3d.benchmark.report import markdown
from skmol3d.datasets import load_small_organics
from skmol3d.encoders import REM3DI, AtomBatch, MACEConfig, Potential, PotentialConfig, REM3DIConfig
from skmol3d.inference import Item
from skmol3d.structures import (
    Conformers,
    ConformerSettings,
    StructureError,
    conformers_of,
    read_molecule,
    read_records,
)

MEDIUM = MACEConfig(
    elements=(1, 6, 7, 8, 9, 15, 16, 17, 35, 53),
    hidden_irreps="128x0e+128x1o",
    max_ell=3,
    correlation=3,
    neighbours=16.0,
)
NARROW = "16x0e+16x1o"
MEASURED = 64
"""Molecules whose atoms say what mean and spread the backbone's features have."""


def random_potential(config: MACEConfig, seed: int = 0) -> Potential:
    """A potential over a MACE with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Potential(PotentialConfig(config)).eval()


@torch.no_grad()
def random_rem3di(potential: Potential, batch: AtomBatch, seed: int = 0) -> REM3DI:
    """A small REM3DI with random weights over a potential, whose features ``batch`` standardises."""
    config = REM3DIConfig(
        potential.config.backbone,
        width=128,
        layers=2,
        heads=4,
        pair_width=32,
        readout=128,
        backbone_pooling=("mean", "std", "max", "min", "sum"),
        chiral=16,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = REM3DI(config)
    encoder.backbone.load_state_dict(potential.backbone.state_dict())
    features = encoder.backbone(batch)
    encoder.scalar_mean.copy_(features.scalars.mean(0))
    encoder.scalar_std.copy_(features.scalars.std(0).clamp(min=1e-6))
    encoder.vector_rms.copy_(features.vectors.square().mean((0, 1)).sqrt().clamp(min=1e-6))
    return encoder.eval()


def error(rows: np.ndarray, target: np.ndarray) -> float:
    """Mean absolute error of five-fold predictions."""
    head = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 5, 13)))
    return float(np.abs(cross_val_predict(head, rows, target, cv=5) - target).mean())


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """What ``work(*arguments)`` returns, and the CPU seconds it took."""
    start = time.process_time()
    return work(*arguments), time.process_time() - start


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="checkpoint of a potential (default: a MACE with random weights)")
    parser.add_argument("--n", type=int, default=500, help="molecules (default: 500; 0: none)")
    parser.add_argument("--complexes", type=Path, help="structures of metal complexes, e.g. .xyz")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        trained: Any = hub.from_pretrained(args.model) if args.model else None
        if args.n:
            potential = trained or random_potential(MEDIUM)
            print(molecules(args.n, potential, args.model or "MACE, random weights", Path(home)), flush=True)
        if args.complexes:
            print(f"\n{complexes(args.complexes, trained, Path(home))}")


def molecules(n: int, potential: Potential, name: str, home: Path) -> str:
    """The table of costs and errors for ``n`` shipped molecules."""
    table = load_small_organics(target="dipole")
    smiles, target = list(table.data[:n]), np.asarray(table.target[:n])
    settings = ConformerSettings(relax=None)  # as the featurizers have it
    found, seconds = timed(lambda: list(conformers_of([read_molecule(s) for s in smiles], settings)))
    lines = [["conformers", "", f"{1000 * seconds / len(smiles):.1f}", ""]]
    methods = featurizers(potential, found, name, home)
    methods["statistics of ec-xtb-small"] = PotentialFeaturizer(device="cpu")
    for method_name, method in methods.items():
        method.fit(smiles[:1]).transform(smiles[:1])  # loads what is loaded once
        rows, seconds = timed(method.transform, smiles)
        cost = f"{1000 * seconds / len(smiles):.1f}"
        lines.append([method_name, str(rows.shape[1]), cost, f"{error(rows, target):.3f}"])
    header = ["", "columns", "s per 1000 molecules", f"MAE, dipole ({table.unit})"]
    return f"{len(smiles)} molecules, one thread\n\n{markdown(lines, header)}"


def featurizers(
    potential: Potential, made: Sequence[Conformers | StructureError], name: str, home: Path, **settings: Any
) -> dict[str, Any]:
    """Plain statistics of a potential's atoms, and a small REM3DI over it that ``made`` standardises."""
    some = [each for each in made[:MEASURED] if isinstance(each, Conformers)]
    items = [Item(each.numbers, each.positions[0], each.charge, each.bonds) for each in some]
    encoder = random_rem3di(potential, AtomBatch.from_arrays(items))
    folder = hub.save_pretrained(potential, home / "potential", "Temporary.")
    over = hub.save_pretrained(encoder, home / "rem3di", "Temporary.")
    return {
        f"statistics of {name}": PotentialFeaturizer(str(folder), device="cpu", **settings),
        f"random REM3DI over {name}": REM3DIFeaturizer(str(over), device="cpu", **settings),
    }


def complexes(path: Path, potential: Potential | None, home: Path) -> str:
    """How many structures of a file get a row, by a potential or one with random weights, and why not."""
    structures = [record.structure for record in read_records(path)]
    read = [read_molecule(structure, None) for structure in structures]
    if potential is None:
        elements = tuple(sorted({int(z) for each in read for z in each.numbers}))
        potential = random_potential(replace(MEDIUM, hidden_irreps=NARROW, elements=elements))
    found = list(conformers_of(read, ConformerSettings(relax=None)))
    known = len(potential.elements)
    lines = [f"{path.name}: {len(structures)} structures; the potential knows {known} elements"]
    made = featurizers(potential, found, path.name, home, errors="nan", standardise=None)
    for name, featurizer in made.items():
        rows = featurizer.fit_transform(structures)
        lines.append(f"{name}: {int(np.isfinite(rows).all(1).sum())} of {len(rows)} get a row")
        reasons = featurizer.failures_["reason"].value_counts()
        lines += [f"  {count} failed: {reason}" for reason, count in reasons.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
