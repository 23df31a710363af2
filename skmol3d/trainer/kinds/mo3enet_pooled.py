"""Recipe kind ``mo3enet_pooled``: the autoencoder over a frozen potential, which learns chemistry, too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.config import check_positive, config_from_dict, config_to_dict
from skmol3d.encoders.mo3enet.pooled import PooledMo3ENet, PooledMo3ENetConfig
from skmol3d.encoders.potential import Potential
from skmol3d.trainer.data.batches import Batch, Mixture, bucketed
from skmol3d.trainer.data.chemistry import ChemicalScales, with_descriptors
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.kinds.base import LoopRecipe, Place, write_metrics
from skmol3d.trainer.kinds.continued import read_initial, same_sized
from skmol3d.trainer.kinds.finish import measure_features
from skmol3d.trainer.kinds.mo3enet import Assignment, deviations
from skmol3d.trainer.loop import main_process, train
from skmol3d.trainer.objectives.chemistry import LEVELS, PooledObjective

CALIBRATION = 150  # training molecules of each set that the read-outs' scales are measured on
STANDARD = 500  # and that the embedding's scalars are standardised over
CURVE = 300  # held-out molecules of each set behind a point of the evaluation curve
MOST = 2000  # and behind the metrics
EVALUATED = 2048  # padded atoms per batch of them

ABOUT = """Mo3ENet autoencoder (arXiv:2405.13791) over the frozen potential `{potential}`: {vectors} vectors
(Å) that turn with the molecule, and as many scalars that do not, are pooled from all atoms by attention and
learned weights; a decoder puts {atoms} back into place; and linear read-outs of the same rows learn GFN2-xTB
energies, orbitals, dipoles and quadrupoles{descriptors}
(`skmol3d.encoders.mo3enet.pooled.PooledMo3ENet`).{started}

**Limits.** Elements below only, up to {swarm} {atoms}. Vectors of a molecule with a symmetry are unchanged by
it: they are zero for benzene, methane or CO2, whose atoms the decoder then cannot place. The embedding was
made to represent rather than to be decoded: see the deviations below before you decode, or ask for
`reconstruction_error`.

Metrics below: an atom is matched if points within 0.5 Å weigh 0.25 or more together; deviations (Å) are those
of the points' mean, over matched atoms and over molecules whose atoms are all matched; `exact` is the share
of molecules matched with the right elements, `decoded` that of molecules whose clustered swarm has the right
number of atoms of each element. Then mean absolute errors of the linear read-outs: energies and orbitals
(eV), and the mean error of dipole vectors (e·Å, neutral molecules). Conformers as they are in the sets.
"""


@dataclass(frozen=True, kw_only=True)
class PooledMo3ENetRecipe(LoopRecipe):
    """An autoencoder over a potential.

    Attributes
    ----------
    potential : str
        Checkpoint, or a recipe's name: what was trained by it in the same folder of runs is taken.
    initial : str or None
        Checkpoint of the same sizes whose weights, the potential's included, to start from. Read-outs of the
        chemistry are not in checkpoints and start afresh.
    objective : Assignment
    decode_every : int
        Of so many molecules of a batch one is decoded, the others' rows learn chemistry alone: on a CPU a
        decoder with a graph is most of a step.
    model : dict
        Fields of `PooledMo3ENetConfig` but ``backbone``, which is the potential's.
    """

    kind: str = "mo3enet_pooled"
    potential: str
    initial: str | None = None
    objective: Assignment
    decode_every: int = 1
    model: dict[str, Any]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "decode_every")

    def run(self, place: Place) -> PooledMo3ENet:
        """Train the autoencoder; metrics are those of held-out molecules of each set."""
        torch.manual_seed(self.seed)
        potential = place.potential(self.potential)
        encoder = PooledMo3ENet(self.config(potential))
        encoder.backbone.load_state_dict(potential.backbone.state_dict())
        sets = self.read(place)
        for source in self.data:
            if source.targets is not None:
                sets[source.path] = with_descriptors(sets[source.path], place.data / source.targets)
        if self.weights.get("descriptors") and not any(
            "descriptors" in s.molecule_targets for s in sets.values()
        ):
            raise ValueError(
                "weights: no entry of data has RDKit's descriptors; name their file (targets), or set "
                "weights.descriptors=0"
            )
        splits = {
            path: (decodable(sets[path], trained, encoder), decodable(sets[path], held, encoder))
            for path, (trained, held) in self.split(sets).items()
        }
        rows = self.train_rows(sets, splits)
        scales = ChemicalScales.measure(
            [sets[path] for path in self.paths], [splits[p][0] for p in self.paths]
        )
        sets = {path: scales.labelled(data) for path, data in sets.items()}
        measure_features(encoder, [sets[p] for p in self.paths], [splits[p][0] for p in self.paths])
        if self.initial is not None:
            other = read_initial(self.initial, PooledMo3ENet)
            encoder.load_state_dict(same_sized(encoder, other, self.initial))

        def evaluate(objective: nn.Module, most: int = CURVE) -> dict[str, dict[str, float]]:
            calibrate(objective, [(sets[path], splits[path][0]) for path in self.paths])
            return {
                path: measured(objective, scales, sets[path], held[:most])
                for path, (_, held) in splits.items()
            }

        def curve(objective: nn.Module) -> dict[str, float]:
            return {
                f"{path} {name}": value
                for path, row in evaluate(objective).items()
                for name, value in row.items()
            }

        best = train(
            PooledObjective(
                encoder,
                list(self.weights),
                len(scales.descriptor_mean),
                **dataclasses.asdict(self.objective),
                decode_every=self.decode_every,
            ),
            Mixture(
                [sets[s.path] for s in self.data],
                self.shares,
                rows,
                self.atoms,
                self.seed,
                smallest=2,
                views=self.views,
            ),
            evaluate=curve,
            log_every=100,
            evaluate_every=2000,
            **self.settings(place),
        )
        if main_process():
            write_metrics(place, evaluate(best, MOST))
        assert isinstance(best.encoder, PooledMo3ENet)
        trained = best.encoder.cpu().eval()
        trained.standardise(embedded_scalars(trained, [(sets[p], splits[p][0]) for p in self.paths]))
        return trained

    def config(self, potential: Potential) -> PooledMo3ENetConfig:
        """The encoder's config."""
        model = {"backbone": config_to_dict(potential.config.backbone), **self.model}
        made: PooledMo3ENetConfig = config_from_dict(PooledMo3ENetConfig, model, "recipe.model")
        return made

    def about(self) -> str:
        """The method, its limits and what its metrics are."""
        default = PooledMo3ENetConfig()
        chosen = {name: self.model.get(name, getattr(default, name)) for name in ("embedding", "swarm")}
        atoms = "atoms" if self.model.get("hydrogens", default.hydrogens) else "heavy atoms"
        return ABOUT.format(
            potential=self.potential,
            vectors=chosen["embedding"],
            swarm=chosen["swarm"],
            atoms=atoms,
            descriptors=", and RDKit's descriptors" if self.weights.get("descriptors") else "",
            started="" if self.initial is None else f" It started from `{self.initial}`.",
        )


def decodable(data: PackedSet, index: np.ndarray, encoder: PooledMo3ENet) -> np.ndarray:
    """Those of the conformers ``index``, shuffled, that the encoder takes: of two atoms to decode or more."""
    wanted = np.ones(len(data.numbers), np.int64) if encoder.config.hydrogens else data.numbers > 1
    counts = np.add.reduceat(wanted, data.offsets[:-1], dtype=np.int64)
    foreign = np.add.reduceat(~np.isin(data.numbers, encoder.elements), data.offsets[:-1], dtype=np.int64)
    fits = (counts > 1) & (counts <= encoder.config.swarm) & (foreign == 0)
    return np.random.default_rng(0).permutation(index[fits[index]])


@torch.no_grad()
def calibrate(objective: Any, parts: list[tuple[PackedSet, np.ndarray]]) -> None:
    """Set the read-outs' standardisation to the columns of ``objective`` over what it trains on.

    In training it follows the raw weights; the averaged ones, which are evaluated, have other columns.
    """
    objective.eval()
    encoder, standardise = objective.encoder, objective.chemistry.standardise
    device = next(encoder.parameters()).device
    columns = [
        encoder(batch.to(device)) for data, index in parts for batch, _ in _passes(data, index[:CALIBRATION])
    ]
    rows = torch.cat(columns)
    standardise.mean.copy_(rows.mean(0))
    standardise.variance.copy_(rows.var(0))


@torch.no_grad()
def embedded_scalars(encoder: PooledMo3ENet, parts: list[tuple[PackedSet, np.ndarray]]) -> torch.Tensor:
    """Scalars [M, K] of the embeddings of some of the conformers that it trains on."""
    return torch.cat(
        [
            encoder.embed(batch).scalars
            for data, index in parts
            for batch, _ in _passes(data, index[:STANDARD])
        ]
    )


@torch.no_grad()
def measured(objective: Any, scales: ChemicalScales, data: PackedSet, index: np.ndarray) -> dict[str, float]:
    """Reconstruction and errors of the read-outs (eV, e·Å) over the conformers ``index``."""
    objective.eval()
    encoder, chemistry = objective.encoder, objective.chemistry
    device = next(encoder.parameters()).device
    errors, dipoles = [], []

    def batches() -> Iterator[AtomBatch]:
        for batch, targets in _passes(data, index):
            batch, targets = batch.to(device), {k: v.to(device) for k, v in targets.items()}
            embedding, pooled = encoder.embed_and_pool(batch)
            row = chemistry.standardise(torch.cat([embedding.scalars, pooled], 1))
            errors.append((chemistry.electronic.head(row) - targets["electronic"]).abs())
            dipoles.append((chemistry.dipole(embedding.vectors)[..., 0] - targets["dipole"]).norm(dim=1))
            yield batch

    found = deviations(encoder, batches())
    mean = torch.cat(errors).cpu().nanmean(0).numpy() * scales.level_std
    dipole = float(torch.cat(dipoles).nanmean())
    labels = {f"{name}_mae": float(value) for name, value in zip(LEVELS, mean, strict=True)}
    known = {**labels, "dipole_mae": dipole}
    return found | {name: value for name, value in known.items() if np.isfinite(value)}


def _passes(data: PackedSet, index: np.ndarray) -> Iterator[Batch]:
    for part in bucketed(data.sizes, index, EVALUATED, np.random.default_rng(0)):
        yield data.batch(part)
