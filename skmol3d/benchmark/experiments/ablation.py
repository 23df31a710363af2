"""What each objective is worth.

``python -m skmol3d.benchmark.experiments.ablation RECIPE --data DATA --probe SETS --out DIR``

Trains a ``rem3di`` recipe with each group of its losses alone and with each left out (or, with
``--variants``, those that are named, and all losses), at the same number of steps and from the same start,
and scores every encoder by linear probes on training parts of tasks (packed by ``python -m
skmol3d.trainer.data.pack probe``). Rows without training: the untrained encoder, and the pooled features of
the potential. Finished runs are kept in DIR, so that a killed ablation continues; the table is printed from
them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from skmol3d import hub
from skmol3d.benchmark.experiments.random_checkpoint import reinitialised
from skmol3d.benchmark.report import markdown, spread
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.pooled import PooledBackbone
from skmol3d.trainer.kinds.base import Place
from skmol3d.trainer.kinds.finish import measure_rows
from skmol3d.trainer.kinds.rem3di import Corpus, REM3DIRecipe
from skmol3d.trainer.pretrain import read_recipe
from skmol3d.trainer.probe import LinearProbe, read_probes

GROUPS = {
    "denoising": ("denoising",),
    "environments": ("environments",),
    "molecular targets": ("descriptors", "fingerprint", "electronic"),
    "assays": ("assays",),
    "pairs of conformers": ("invariance",),
    "handedness": ("handedness",),
    "substructures": ("substructures",),
    "geometry": ("distances", "angles", "dihedrals"),
    "regularisation": ("variance", "covariance"),
}
MARKS = {"auroc_lowest": "lowest AUROC", "aligned_rmsd": "RMSD (Å)", "effective_dimension": "eff. dim."}


def variants(recipe: REM3DIRecipe) -> dict[str, REM3DIRecipe]:
    """Recipes by name: all losses, each group alone, each left out, other structure, other potential.

    What names say of random and untrained weights `run` does, as no recipe can.
    """
    weights = recipe.weights
    found = {"all": recipe}
    for name, losses in GROUPS.items():
        own = {k: v for k, v in weights.items() if k in losses}
        if own:
            found[f"only {name}"] = replace(recipe, weights=own)
            left = {k: v for k, v in weights.items() if k not in own}
            found[f"without {name}"] = replace(recipe, weights=left)
    for structure in ("2d", "none"):
        found[f"all, structure {structure}"] = replace(recipe, model=recipe.model | {"structure": structure})
    others = ("all, random potential", "untrained encoder", "pooled backbone", "pooled random backbone")
    return found | dict.fromkeys(others, recipe)


def run(
    recipe: REM3DIRecipe, name: str, data: Path, corpus: Corpus, probe: LinearProbe, out: Path
) -> dict[str, float]:
    """Train one variant, or read its result; scores by task, ``probe_r2`` and held-out marks."""
    done = out / f"{name.replace(' ', '_').replace(',', '')}_{recipe.seed}"
    result = done / "result.json"
    if not result.exists():
        potential: Any = hub.from_pretrained(recipe.potential)
        if "random" in name:
            potential = reinitialised(potential, recipe.seed)
        encoder: Any
        marks: dict[str, float] = {}
        if name.startswith("pooled"):
            encoder = PooledBackbone(potential.backbone, potential.elements)
        elif name == "untrained encoder":
            encoder = recipe.build(corpus, potential).eval()
            measure_rows(encoder, corpus.sets, corpus.train)
        else:
            # A collapse is a result here, not a reason to stop.
            encoder = recipe.run(Place(data, out, done), potential, corpus, collapse=0.0)
            marks = json.loads((done / "metrics.json").read_text())
        done.mkdir(parents=True, exist_ok=True)
        result.write_text(json.dumps(probe.scores(_Frozen(encoder)) | marks, indent=1))
    return json.loads(result.read_text())


def whole_rows(objective: Any, batch: AtomBatch) -> torch.Tensor:
    """All columns of the encoder, as a user's pipeline gets them."""
    rows: torch.Tensor = objective.encoder(batch)
    return rows


class _Frozen(torch.nn.Module):
    """What a probe expects of an objective, for encoders that are no modules."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.device = torch.nn.Parameter(torch.zeros(0))
        self.encoder = encoder


def table(results: pd.DataFrame) -> str:
    """Markdown from one row per variant and seed: means and standard deviations over the seeds.

    ``MAE / all`` is the mean over the tasks of the error's ratio to that of the variant ``all``.
    """
    errors = [c for c in results.columns if str(c).endswith(".mae")]
    reference = results[results["variant"] == "all"][errors].mean()
    rows = []
    for name, runs in results.groupby("variant", sort=False):
        ratio = (runs[errors] / reference).mean(axis=1)
        marks = [spread(runs[mark]) if runs[mark].notna().any() else "" for mark in MARKS]
        rows.append([str(name), spread(runs["probe_r2"]), spread(ratio), *marks])
    return markdown(rows, ["variant", "probe R²", "MAE / all", *MARKS.values()])


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", help="of kind rem3di")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--probe", type=Path, required=True, help="folder of packed tasks")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--variants", nargs="+", metavar="NAME", help="these alone, as the table names them")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in pretrain")
    args = parser.parse_args(argv)
    recipe = read_recipe(args.recipe, args.set)
    names = list(variants(recipe))
    if args.variants:
        if unknown := [name for name in args.variants if name not in names]:
            parser.error(f"no variant {unknown[0]!r}; there are {', '.join(map(repr, names))}")
        names = ["all", *(name for name in args.variants if name != "all")]
    probe = LinearProbe(read_probes(args.probe), encode=whole_rows, every=1)
    rows = []
    for seed in args.seeds:
        seeded = replace(recipe, seed=seed)
        corpus = Corpus.read(seeded, Place(args.data, args.out, args.out))
        plans = variants(seeded)
        for name in names:
            scores = run(plans[name], name, args.data, corpus, probe, args.out)
            rows.append({"variant": name, "seed": seed} | scores)
    results = pd.DataFrame(rows).reindex(columns=[*dict.fromkeys(k for row in rows for k in row), *MARKS])
    results = results.loc[:, ~results.columns.duplicated()]
    results.to_csv(args.out / "results.csv", index=False)
    print(table(results))


if __name__ == "__main__":
    main()
