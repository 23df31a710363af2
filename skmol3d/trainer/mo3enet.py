"""Recipe kind ``mo3enet``: the autoencoder on molecules in random conformations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skmol3d.encoders.config import config_from_dict
from skmol3d.encoders.mo3enet import Mo3ENet, Mo3ENetConfig
from skmol3d.trainer.data import PackedSet, bucketed
from skmol3d.trainer.loop import main_process, train
from skmol3d.trainer.mo3enet_data import Augmented, read_sets, suitable
from skmol3d.trainer.objectives.reconstruction import Reconstruction, match, reconstruct, summarise
from skmol3d.trainer.schedule import Schedule
from skmol3d.trainer.stream import Mixture

CURVE = 500  # held-out molecules behind each point of the evaluation curve


def run(recipe: dict[str, Any], data: Path, out: Path, resume: bool, **hardware: Any) -> Mo3ENet:
    """Train the autoencoder a recipe describes; ``out`` receives logs and ``metrics.json``.

    ``augment`` goes to `Augmented`, ``objective`` to `Reconstruction`; deviations are measured on the
    held-out molecules of each set (those of the first set make the curve). ``hardware`` goes to
    `skmol3d.trainer.loop.train`: device, devices, nodes, precision.
    """
    torch.manual_seed(recipe["seed"])
    encoder = Mo3ENet(config_from_dict(Mo3ENetConfig, recipe["model"], "recipe.model"))
    config = encoder.config
    sources = recipe["data"]
    sets, splits = read_sets(sources, data, recipe["held_out"], recipe["seed"])
    parts = zip(sets, splits, strict=True)
    kept = [[suitable(s, index, config.elements, config.swarm) for index in split] for s, split in parts]
    mixture = Mixture(
        sets, [float(s["share"]) for s in sources], [t for t, _ in kept], recipe["atoms"], recipe["seed"]
    )
    sample = np.random.default_rng(0).permutation(kept[0][1])[:CURVE]

    def evaluate(objective: Any) -> dict[str, float]:
        return deviations(objective.encoder, sets[0], sample) | {"sigma": float(objective.sigma)}

    best = train(
        Reconstruction(encoder, **recipe["objective"]),
        Augmented(mixture, **recipe["augment"]),
        recipe["weights"],
        config_from_dict(Schedule, recipe["schedule"], "recipe.schedule"),
        out,
        evaluate=evaluate,
        resume=resume,
        log_every=100,
        evaluate_every=1000,
        seed=recipe["seed"],
        **hardware,
    )
    assert isinstance(best.encoder, Mo3ENet)
    encoder = best.encoder.eval()
    if main_process():
        metrics = {
            source.get("xtb") or source["shards"]: deviations(encoder, s, held)
            for source, s, (_, held) in zip(sources, sets, kept, strict=True)
        }
        (out / "metrics.json").write_text(json.dumps(metrics, indent=1))
    return encoder


def deviations(encoder: Mo3ENet, data: PackedSet, index: np.ndarray, atoms: int = 2048) -> dict[str, float]:
    """Deviations (Å) and matched shares of conformers ``index`` as they are, and how many these are."""
    encoder.eval()
    device = next(encoder.parameters()).device
    with torch.no_grad():
        found = [
            match(*reconstruct(encoder, data.batch(part)[0].to(device)))
            for part in bucketed(data.sizes, index, atoms, np.random.default_rng(0))
        ]
    return summarise(found) | {"molecules": float(len(index))}
