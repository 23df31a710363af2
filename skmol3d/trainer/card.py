"""Model cards, written from what a run recorded."""

from __future__ import annotations

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

POTENTIAL = """Equivariant Transformer (arXiv:2202.02541) trained as a potential on GFN2-xTB labels, with an
energy head whose gradient is the force. Energies in eV, positions in Å. Gas phase, closed shells.

**Limits.** It knows the level of theory (GFN2-xTB), the elements and the size of molecules below (mostly up
to 21 heavy atoms), conformers near minima and distorted by up to 0.15 Å; it was never used for, nor tested
in, molecular dynamics. No metals, no radicals, no periodic systems.

Metrics below: mean absolute errors of force components (`force_mae`, eV/Å), energy per molecule and per atom
(eV), Mulliken charges (e) and frontier orbitals (eV).
"""

REM3DI = """REM3DI descriptor (arXiv:2607.19977) over the frozen potential {potential}: pair-biased
transformer over heavy atoms, pooled statistics, and a chiral block that changes sign between mirror images.
Pretrained on atom denoising, Morgan environments of atoms, RDKit 2D descriptors, folded environment counts,
xTB orbitals and dipoles, CIP labels (through odd maps), with variance and covariance regularisation.

**Conformers.** Trained on one plain ETKDGv3 conformer per corpus molecule, and on MMFF94-relaxed,
GFN2-xTB-relaxed and noisy conformers of the xTB set.

**Limits.** Elements below only; molecules of 4 to 45 heavy atoms in training. Descriptors of flexible
molecules depend on the conformer. The chiral block of a flexible achiral molecule is that of its conformer,
not zero.

Metrics below: the training losses on held-out molecules (squared errors of standardised targets;
cross-entropies for environments and handedness). How the descriptor does on real tasks is in the package's
README.
"""


def write_card(recipe: dict[str, Any], logs: Path, encoder: Any, hardware: str) -> str:
    """Markdown with the Hub's YAML head: what it is, data, training, held-out metrics, limits."""
    about = POTENTIAL if recipe["kind"] == "potential" else REM3DI.format(potential=recipe["potential"])
    log = pd.read_csv(logs / "log.csv")
    last = log.iloc[-1]
    # Where a run was resumed the step falls back, and takes what was done twice off again.
    seen = (log["molecules"] * log["step"].diff().fillna(log["step"])).sum()
    metrics = json.loads((logs / "metrics.json").read_text())
    lines = [
        HEAD.format(**recipe) + about,
        "## Training\n",
        f"- Command: `skmol3d pretrain {recipe['name']} --data DATA`",
        f"- Data: {_data(recipe)} (xTB labels computed with tblite 0.8; the corpus, and the drug-like "
        "molecules drawn from it, are public molecules from ChEMBL, PubChem, NCI, OpenFF and ZINC subsets "
        "without those of the benchmark panel; QM9 was not filtered). No benchmark label was used. The "
        "shipped table of small organics has the same level of theory and shares molecules with these "
        "sets: a result on it is no test",
        f"- {int(last['step'])} steps, about {int(seen):,} molecules seen, {last['seconds'] / 60:.0f} min of "
        f"training; {hardware}",
        f"- Elements: {', '.join(chemical_symbols[z] for z in encoder.elements)}",
        f"- Parameters: {sum(p.numel() for p in encoder.parameters()):,}\n",
        "## Held-out metrics\n",
        f"From `metrics.json` of the run ({recipe['held_out']:.0%} of the molecules held out).\n",
        _table(metrics if isinstance(next(iter(metrics.values())), dict) else {"held out": metrics}),
    ]
    return "\n".join(lines) + "\n"


def _data(recipe: dict[str, Any]) -> str:
    if isinstance(recipe["data"], dict):
        return ", ".join(f"{name} ({share:.0%})" for name, share in recipe["data"].items())
    return ", ".join(f"{s.get('shards') or s['xtb']} ({s['share']:.0%})" for s in recipe["data"])


def _table(metrics: dict[str, dict[str, float]]) -> str:
    columns = list(next(iter(metrics.values())))
    rows = ["| set | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    rows += [
        f"| {name} | " + " | ".join(f"{values[c]:.4g}" for c in columns) + " |"
        for name, values in metrics.items()
    ]
    return "\n".join(rows)
