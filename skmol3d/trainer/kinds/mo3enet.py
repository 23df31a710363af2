"""Recipe kind ``mo3enet``: the autoencoder on molecules in random conformations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import one_hot

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.config import config_from_dict
from skmol3d.encoders.mo3enet import Mo3ENet, Mo3ENetConfig
from skmol3d.encoders.mo3enet.decoder import find_atoms
from skmol3d.encoders.mo3enet.match import match, reconstruct
from skmol3d.trainer.data.batches import Mixture
from skmol3d.trainer.data.fragments import Augmented, read_sets, suitable
from skmol3d.trainer.data.sets import bucketed
from skmol3d.trainer.loop import main_process, train
from skmol3d.trainer.objectives.reconstruction import Reconstruction, summarise
from skmol3d.trainer.schedule import Schedule

CURVE = 500  # held-out molecules behind each point of the evaluation curve
EVALUATED = 2048  # padded atoms per batch of them


def run(recipe: dict[str, Any], data: Path, out: Path, resume: bool, **hardware: Any) -> Mo3ENet:
    """Train the autoencoder a recipe describes; ``out`` receives logs and ``metrics.json``.

    ``augment`` goes to `Augmented`, ``objective`` to `Reconstruction`; deviations are measured on the
    held-out molecules of each set, those of shards truncated and with random torsions (some of the first set
    make the curve). ``hardware`` goes to `skmol3d.trainer.loop.train`: device, devices, nodes, precision.
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
    reshaped = {**recipe["augment"], "torsions": 1.0, "noise": 0.0, "low": 1.0, "high": 1.0}

    def held_out(k: int, most: int | None = None) -> Iterator[AtomBatch]:
        index = np.random.default_rng(0).permutation(kept[k][1])[:most]
        if "xtb" in sources[k]:
            for part in bucketed(sets[k].sizes, index, EVALUATED, np.random.default_rng(0)):
                yield sets[k].batch(part)[0]
        else:
            once = Mixture([sets[k]], [1.0], [index], EVALUATED, recipe["seed"])
            left = len(index)
            for batch, _ in Augmented(once, **reshaped)():
                yield batch
                left -= len(batch)
                if left <= 0:  # one pass: the mixture itself is endless
                    return

    def evaluate(objective: Any) -> dict[str, float]:
        return deviations(objective.encoder, held_out(0, CURVE)) | {"sigma": float(objective.sigma)}

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
        names = [source.get("xtb") or source["shards"] for source in sources]
        metrics = {name: deviations(encoder, held_out(k)) for k, name in enumerate(names)}
        (out / "metrics.json").write_text(json.dumps(metrics, indent=1))
    return encoder


@torch.no_grad()
def deviations(encoder: Mo3ENet, batches: Iterable[AtomBatch]) -> dict[str, float]:
    """Deviations (Å) and matched shares of the molecules of ``batches`` (see `summarise`).

    ``decoded`` is the share of molecules whose swarm, clustered without knowing them (`find_atoms`), has the
    right number of atoms of each element; ``molecules`` is their number.
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    found, decoded, molecules = [], 0, 0
    for batch in batches:
        swarm, target = reconstruct(encoder, batch.to(device))
        found.append(match(swarm, target))
        kinds = len(encoder.elements)
        atoms = find_atoms(swarm)
        owner = torch.repeat_interleave(torch.arange(len(batch), device=device), atoms.counts)
        formula = one_hot(target.types, kinds).mul(target.real[..., None]).sum(1)
        clustered = torch.zeros_like(formula).index_add(0, owner, one_hot(atoms.types, kinds))
        decoded += int((formula == clustered).all(1).sum())
        molecules += len(batch)
    return summarise(found) | {"decoded": decoded / molecules, "molecules": float(molecules)}
