"""Recipe kind ``mo3enet``: the autoencoder on molecules in random conformations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import one_hot

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.mo3enet import Mo3ENet, Mo3ENetConfig
from skmol3d.encoders.mo3enet.autoencoder import Autoencoder
from skmol3d.encoders.mo3enet.decoder import find_atoms
from skmol3d.encoders.mo3enet.match import match, reconstruct
from skmol3d.trainer.data.batches import Mixture, bucketed
from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.fragments import Augmentation, Augmented, suitable
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.kinds.base import LoopRecipe, Place, write_metrics
from skmol3d.trainer.loop import main_process, train
from skmol3d.trainer.objectives import registry
from skmol3d.trainer.objectives.reconstruction import Reconstruction, summarise

CURVE = 500  # held-out molecules behind each point of the evaluation curve
EVALUATED = 2048  # padded atoms per batch of them

ABOUT = """Mo3ENet autoencoder (arXiv:2405.13791): the types and positions of a molecule's atoms as vectors
(Å) that turn with it and scalars that do not, and back. Ours are the axes that atoms know their coordinates
along, the assignment of every atom to a vector of its own, and the loss by optimal transport
(`skmol3d.encoders.mo3enet.Mo3ENet`).

**Limits.** Elements below only; charges are not encoded. Molecules and fragments of up to {heavy} heavy atoms
in training: larger ones decode poorly, which their reconstruction error shows. The vectors of exactly
symmetric molecules depend, by a symmetry operation, on the order of equivalent atoms.

Metrics below: an atom is matched if points within 0.5 Å weigh 0.25 or more together; deviations (Å) are those
of the points' mean, over matched atoms and over molecules whose atoms are all matched; `exact` is the share
of molecules matched with the right elements, `decoded` that of molecules whose clustered swarm has the right
number of atoms of each element. Labelled conformers as they are (of a set with QM9's geometries only these);
corpus molecules truncated, with random torsions.
"""


@dataclass(frozen=True)
class Assignment:
    """Settings of `skmol3d.trainer.objectives.reconstruction.Reconstruction`.

    Attributes
    ----------
    sigma : float
        Width of the Gaussians at the start, Å².
    threshold : float
        Mixture loss below which it shrinks.
    blur : float
        Entropy of the assignment, Å.
    """

    sigma: float = 2.0
    threshold: float = 0.15
    blur: float = 0.15


@dataclass(frozen=True, kw_only=True)
class Mo3ENetRecipe(LoopRecipe):
    """An autoencoder.

    Attributes
    ----------
    augment : Augmentation
    objective : Assignment
    model : Mo3ENetConfig
    """

    kind: str = "mo3enet"
    augment: Augmentation
    objective: Assignment
    model: Mo3ENetConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        missing = sorted(registry.losses(self.kind).keys() - self.weights.keys())
        if missing:
            raise ValueError(f"weights: {', '.join(missing)} missing (0 leaves one out)")

    def run(self, place: Place) -> Mo3ENet:
        """Train the autoencoder; deviations are those of the held-out molecules of each set.

        Some of the first set make the curve.
        """
        torch.manual_seed(self.seed)
        encoder = Mo3ENet(self.model)
        config = encoder.config
        sets = self.read(place)
        splits = {
            path: (train, evaluated(sets[path], held)) for path, (train, held) in self.split(sets).items()
        }

        def fitting(path: str, index: np.ndarray, use: str) -> np.ndarray:
            found = suitable(sets[path], index, config.elements, config.swarm)
            if not len(found):
                raise ValueError(
                    f"{path}: none of {len(index)} conformers {use} has at most {config.swarm} atoms, all of "
                    f"the elements {', '.join(map(str, config.elements))}"
                )
            return found

        rows = [
            fitting(s.path, index, "to train on")
            for s, index in zip(self.data, self.train_rows(sets, splits), strict=True)
        ]
        kept = {path: fitting(path, held, "held out") for path, (_, held) in splits.items()}
        corpora = {path for path, s in sets.items() if "descriptors" in s.molecule_targets}
        bare = {path: s.without_targets() for path, s in sets.items()}
        mixture = Mixture(
            [bare[s.path] for s in self.data], self.shares, rows, self.atoms, self.seed, views=self.views
        )
        reshaped = dataclasses.replace(self.augment, torsions=1.0, noise=0.0, low=1.0, high=1.0)

        def held_out(path: str, most: int | None = None) -> Iterator[AtomBatch]:
            index = np.random.default_rng(0).permutation(kept[path])[:most]
            if path not in corpora:
                for part in bucketed(bare[path].sizes, index, EVALUATED, np.random.default_rng(0)):
                    yield bare[path].batch(part)[0]
            else:
                once = Mixture([bare[path]], [1.0], [index], EVALUATED, self.seed)
                left = len(index)
                for batch, _ in Augmented(once, reshaped)():
                    yield batch
                    left -= len(batch)
                    if left <= 0:  # one pass: the mixture itself is endless
                        return

        def evaluate(objective: Any) -> dict[str, float]:
            row = deviations(objective.encoder, held_out(self.paths[0], CURVE))
            return row | {"sigma": float(objective.sigma)}

        best = train(
            Reconstruction(encoder, **dataclasses.asdict(self.objective)),
            Augmented(mixture, self.augment),
            evaluate=evaluate,
            log_every=100,
            evaluate_every=1000,
            **self.settings(place),
        )
        assert isinstance(best.encoder, Mo3ENet)
        encoder = best.encoder.eval()
        if main_process():
            write_metrics(place, {path: deviations(encoder, held_out(path)) for path in self.paths})
        return encoder

    def about(self) -> str:
        """The method, its limits and what its metrics are."""
        return ABOUT.format(heavy=self.augment.heavy)


def evaluated(data: PackedSet, held: np.ndarray) -> np.ndarray:
    """Those of the conformers ``held`` that are QM9's own geometries, if the set has any."""
    kinds = data.molecule_targets.get("kind", np.empty(0))
    return held[kinds[held] == ConformerKind.QM9] if (kinds == ConformerKind.QM9).any() else held


@torch.no_grad()
def deviations(encoder: Autoencoder, batches: Iterable[AtomBatch]) -> dict[str, float]:
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
