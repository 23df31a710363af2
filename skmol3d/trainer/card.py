"""Model cards, written from what a run recorded.

``python -m skmol3d.trainer.card CHECKPOINT TABLES.md`` puts the tables of `skmol3d benchmark` into a card.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
from ase.data import chemical_symbols

HEAD = """---
library_name: skmol3d
license: mit
pipeline_tag: feature-extraction
tags: [chemistry, molecules, 3d, {kind}]
---

# {name}

"""

NETWORKS = {
    "equivariant-transformer": "Equivariant Transformer (arXiv:2202.02541)",
    "egnn": "E(n)-equivariant graph network (EGNN, arXiv:2102.09844)",
}

POTENTIAL = """{network} with an energy head whose gradient is the force. {trained}{started}

**Limits.** It knows the level of theory, the elements and the kinds of molecules and geometries of the data
below, and no others; it was never used for, nor tested in, molecular dynamics. No metals, no radicals, no
periodic systems.{xtb}

Metrics below: mean absolute errors of force components (`force_mae`, eV/Å), energy per molecule and per atom
(eV), atomic charges (e) and frontier orbitals (eV); other columns are training losses.
"""

XTB = """ The GFN2-xTB labels are for the gas phase and closed shells, of molecules mostly up to 21 heavy
atoms, near minima and distorted by up to 0.15 Å."""

ENERGIES = "Trained on energies (eV) of conformers at positions in Å, and on: {losses}."
FORCES = """Trained on forces (eV/Å) but not on energies: its energy (eV) compares conformers of one molecule,
not different molecules. Losses: {losses}."""
NEITHER = """Trained on neither energies nor forces: its energy is no physical one, and it is a starting point
for fine-tuning. Losses: {losses} (`efp` and `inp`: force and scale of Riemann-Gaussian noise, 3D-EMGP,
arXiv:2207.08824)."""

REM3DI = """REM3DI descriptor (arXiv:2607.19977) over the frozen potential {potential}: pair-biased
transformer over heavy atoms, pooled statistics, a chiral block that changes sign between mirror images,
counts of words (the class of atom environment that a linear map of each token names), and plain statistics of
the potential's features over all atoms.
Pretrained on atom denoising, classes of ECFP and FCFP environments of atoms, RDKit 2D descriptors, folded
environment counts, xTB orbitals and dipoles, CIP labels (through odd maps), with variance and covariance
regularisation.

**Conformers.** Trained on one plain ETKDGv3 conformer per corpus molecule, and on MMFF94-relaxed,
GFN2-xTB-relaxed and noisy conformers of the xTB set.

**Limits.** Elements below only; molecules of 4 to 45 heavy atoms in training. Descriptors of flexible
molecules depend on the conformer. The chiral block of a flexible achiral molecule is that of its conformer,
not zero.

Metrics below: the training losses on held-out molecules (squared errors of standardised targets;
cross-entropies for environments and handedness).
"""

MO3ENET = """Mo3ENet autoencoder (arXiv:2405.13791): the types and positions of a molecule's atoms as vectors
(Å) that turn with it and scalars that do not, and back. Ours are the axes that atoms know their coordinates
along, the assignment of every atom to a vector of its own, and the loss by optimal transport
(`skmol3d.encoders.mo3enet.Mo3ENet`).

**Limits.** Elements below only; charges are not encoded. Molecules and fragments of up to 9 heavy atoms in
training: larger ones decode poorly, which their reconstruction error shows. The vectors of exactly symmetric
molecules depend, by a symmetry operation, on the order of equivalent atoms.

Metrics below: an atom is matched if points within 0.5 Å weigh 0.25 or more together; deviations (Å) are those
of the points' mean, over matched atoms and over molecules whose atoms are all matched; `exact` is the share
of molecules matched with the right elements, `decoded` that of molecules whose clustered swarm has the right
number of atoms of each element. QM9 geometries as they are (B3LYP); corpus molecules truncated, with random
torsions.
"""

ORIGIN = """ (xTB labels computed with tblite 0.8; the corpus, and the drug-like \
molecules drawn from it, are public molecules from ChEMBL, PubChem, NCI, OpenFF and ZINC subsets \
without those of the benchmark panel; QM9 was not filtered). No benchmark label was used. The \
shipped table of small organics has the same level of theory and shares molecules with these \
sets: a result on it is no test"""

BENCHMARK = "## Benchmark"


def write_card(recipe: dict[str, Any], logs: Path, encoder: Any, hardware: str) -> str:
    """Markdown with the Hub's YAML head: what it is, data, training, held-out metrics, limits."""
    import yaml

    potential = recipe["kind"] == "potential"
    if potential:
        about = _about_potential(recipe)
    else:
        about = MO3ENET if recipe["kind"] == "mo3enet" else REM3DI.format(potential=recipe["potential"])
    log = pd.read_csv(logs / "log.csv")
    last = log.iloc[-1]
    # Where a run was resumed the step falls back, and takes what was done twice off again.
    seen = (log["molecules"] * log["step"].diff().fillna(log["step"])).sum()
    metrics = json.loads((logs / "metrics.json").read_text())
    lines = [
        HEAD.format(**recipe) + about,
        "## Training\n",
        f"- Command: `skmol3d pretrain {recipe['name']} --data DATA`",
        f"- Data: {_data(recipe)}{ORIGIN if not potential or _xtb(recipe) else ''}",
        f"- {int(last['step'])} steps, about {int(seen):,} molecules seen, {last['seconds'] / 60:.0f} min of "
        f"training; {hardware}",
        f"- Elements: {', '.join(chemical_symbols[z] for z in encoder.elements)}",
        f"- Parameters: {sum(p.numel() for p in encoder.parameters()):,}",
        "- The recipe as it ran:\n",
        f"```yaml\n{yaml.safe_dump(recipe, sort_keys=False, default_flow_style=None, width=100)}```\n",
        "## Held-out metrics\n",
        f"From `metrics.json` of the run ({recipe['held_out']:.0%} of the molecules held out).\n",
        _table(metrics if isinstance(next(iter(metrics.values())), dict) else {"held out": metrics}),
    ]
    return "\n".join(lines) + "\n"


def _about_potential(recipe: dict[str, Any]) -> str:
    weights, initial = recipe["weights"], recipe["initial"]
    trained = ENERGIES if "energy" in weights else NEITHER
    if "energy" not in weights and not {"forces", "force_centric"}.isdisjoint(weights):
        trained = FORCES
    return POTENTIAL.format(
        network=NETWORKS[recipe["model"]["backbone"]["kind"]],
        trained=trained.format(losses=", ".join(f"`{name}`" for name in weights)),
        started="" if initial is None else f" It started from `{initial}`.",
        xtb=XTB if _xtb(recipe) else "",
    )


def _xtb(recipe: dict[str, Any]) -> bool:
    return any(name.startswith("xtb/") for name in recipe["data"])


def _data(recipe: dict[str, Any]) -> str:
    if isinstance(recipe["data"], dict):
        return ", ".join(f"{name} ({share:.0%})" for name, share in recipe["data"].items())
    return ", ".join(f"{s.get('shards') or s['xtb']} ({s['share']:.0%})" for s in recipe["data"])


def _table(metrics: dict[str, dict[str, float]]) -> str:
    columns = list(dict.fromkeys(name for values in metrics.values() for name in values))
    rows = ["| set | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, values in metrics.items():
        cells = [f"{values[c]:.4g}" if c in values else "" for c in columns]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def add_tables(card: str, tables: str) -> str:
    """The card with the benchmark's tables as its last section, in place of older ones."""
    kept = card.split(BENCHMARK)[0].rstrip()
    return f"{kept}\n\n{BENCHMARK}\n\n{tables.strip()}\n"


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Put benchmark tables into a model card.")
    parser.add_argument("checkpoint", type=Path, help="checkpoint folder")
    parser.add_argument("tables", type=Path, help="tables.md of `skmol3d benchmark --out`")
    args = parser.parse_args()
    card = args.checkpoint / "README.md"
    tables = args.tables.read_text(encoding="utf-8")
    card.write_text(add_tables(card.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main()
