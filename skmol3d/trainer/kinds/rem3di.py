"""Recipe kind ``rem3di``: the encoder over a frozen potential, on several objectives at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from skmol3d import hub
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.config import config_from_dict, config_to_dict
from skmol3d.encoders.potential import Potential
from skmol3d.encoders.rem3di import REM3DI, REM3DIConfig
from skmol3d.trainer.data.batches import Batch, Mixture, WithOnline
from skmol3d.trainer.data.corpus import CorpusStatistics, read_corpus, read_probes
from skmol3d.trainer.data.online import OnlineConformers
from skmol3d.trainer.data.sets import PackedSet, bucketed
from skmol3d.trainer.loop import main_process, train
from skmol3d.trainer.objectives.encoder import EncoderObjective
from skmol3d.trainer.objectives.global_frame import aligned_rmsd
from skmol3d.trainer.objectives.regularisation import effective_dimension
from skmol3d.trainer.objectives.substructures import auroc, unpack_bits
from skmol3d.trainer.probe import LinearProbe
from skmol3d.trainer.schedule import Schedule


@dataclass
class Corpus:
    """The data of a run: sets, how often each is drawn, which conformers train, what targets look like."""

    sets: list[PackedSet]
    shares: list[float]
    train: list[np.ndarray]
    held_out: list[np.ndarray]
    statistics: CorpusStatistics

    @classmethod
    def read(cls, recipe: dict[str, Any], data: Path, resumed: Path | None = None) -> Corpus:
        """Read what a recipe names; ``resumed`` is the folder of a run whose statistics to keep."""
        sets, shares = read_corpus(recipe["data"], data)
        splits = [s.split(recipe["held_out"], recipe["seed"]) for s in sets]
        train_rows, held_out = ([split[k] for split in splits] for k in (0, 1))
        statistics = CorpusStatistics.load(resumed) if resumed else None
        if statistics is None:
            statistics = CorpusStatistics.measure(sets, train_rows, **recipe["targets"])
        return cls(sets, shares, train_rows, held_out, statistics)


def run(
    recipe: dict[str, Any],
    data: Path,
    out: Path,
    resume: bool,
    potential: Potential,
    corpus: Corpus | None = None,
    **settings: Any,
) -> REM3DI:
    """Train the encoder a recipe describes over ``potential``; ``out`` receives logs and ``metrics.json``.

    ``corpus`` is the recipe's, should it have been read already; ``settings`` go to
    `skmol3d.trainer.loop.train`: device, devices, nodes, precision, collapse.
    """
    corpus = corpus or Corpus.read(recipe, data, out if resume else None)
    encoder = build(recipe, corpus, potential)
    if main_process():
        corpus.statistics.save(out)
    first, shown = corpus.sets[0], corpus.held_out[0][:600]
    sample = np.random.default_rng(0).permutation(corpus.train[0])[:300]

    def evaluate(objective: nn.Module) -> dict[str, float]:
        calibrate(objective, first, sample)
        return held_out_losses(objective, first, shown)

    packed = Mixture(corpus.sets, corpus.shares, corpus.train, recipe["atoms"], recipe["seed"], smallest=2)
    with _online(recipe["online"], packed, data) as batches:
        best = train(
            EncoderObjective(encoder, corpus.statistics, recipe["weights"].keys(), recipe["masked"]),
            batches,
            recipe["weights"],
            config_from_dict(Schedule, recipe["schedule"], "recipe.schedule"),
            out,
            evaluate=evaluate,
            resume=resume,
            log_every=100,
            evaluate_every=1000,
            seed=recipe["seed"],
            callbacks=_probes(recipe["probe"], data),
            **settings,
        )
    if main_process():
        (out / "metrics.json").write_text(json.dumps(evaluate(best), indent=1))
    assert isinstance(best.encoder, REM3DI)
    return best.encoder.eval()


def build(recipe: dict[str, Any], corpus: Corpus, potential: Potential) -> REM3DI:
    """The encoder of a recipe before its first step."""
    torch.manual_seed(recipe["seed"])
    model = {"backbone": config_to_dict(potential.config.backbone), **recipe["model"]}
    # Words are the classes that `environments` teaches: without it there is nothing to count.
    words = {**recipe["model"].get("words", {}), "classes": list(corpus.statistics.classes)}
    model["words"] = words if "environments" in recipe["weights"] else {}
    encoder = REM3DI(config_from_dict(REM3DIConfig, model, "recipe.model"))
    encoder.backbone.load_state_dict(potential.backbone.state_dict())
    measure_features(encoder, corpus.sets, corpus.train)
    return encoder if recipe["initial"] is None else start_from(encoder, recipe["initial"])


def _probes(settings: dict[str, Any] | None, data: Path) -> list[LinearProbe]:
    if settings is None:
        return []
    return [LinearProbe(read_probes(data / settings["sets"]), encode, settings["every"])]


@contextmanager
def _online(
    settings: dict[str, Any] | None, packed: Mixture, data: Path
) -> Iterator[Callable[..., Iterator[Batch]]]:
    if settings is None:
        yield packed
        return
    smiles = pd.read_csv(data / settings["smiles"])["smiles"].tolist()
    with OnlineConformers(smiles, workers=settings["workers"], seed=packed.seed) as online:
        yield WithOnline(packed, online, settings["share"])


def encode(objective: Any, batch: AtomBatch) -> Tensor:
    """All columns of the encoder, as a user's pipeline gets them."""
    return objective.encoder(batch)


def start_from(encoder: REM3DI, checkpoint: str) -> REM3DI:
    """Load the weights of another REM3DI of the same sizes; words, which it may lack, stay as they are.

    Raises
    ------
    ValueError
        The checkpoint is no REM3DI, or its sizes differ.
    """
    other = hub.from_pretrained(checkpoint)
    if not isinstance(other, REM3DI):
        raise ValueError(f"recipe.initial: {checkpoint} is a {type(other).__name__}, not a REM3DI")
    own, found = ({k: v for k, v in e.state_dict().items() if k[:6] != "words."} for e in (encoder, other))
    wrong = [k for k in own | found if k not in own or k not in found or own[k].shape != found[k].shape]
    if wrong:
        names = ", ".join(sorted(wrong))
        raise ValueError(f"recipe.initial: {checkpoint} differs from the recipe's model in {names}")
    encoder.load_state_dict(encoder.state_dict() | found)
    return encoder


def measure_features(
    encoder: REM3DI, sets: list[PackedSet], train: list[np.ndarray], molecules: int = 1000
) -> None:
    """Set the encoder's fixed statistics of the backbone's features over a sample of the training sets."""
    scalars, vectors = [], []
    with torch.no_grad():
        for data, index in zip(sets, train, strict=True):
            sample = np.random.default_rng(0).permutation(index)[:molecules]
            for part in bucketed(data.sizes, sample, 2048, np.random.default_rng(0)):
                batch, _ = data.batch(part)
                features = encoder.backbone(batch)
                heavy = batch.numbers > 1
                scalars.append(features.scalars[heavy])
                vectors.append(features.vectors[heavy].square().mean(1))
    invariants = torch.cat(scalars)
    encoder.scalar_mean.copy_(invariants.mean(0))
    encoder.scalar_std.copy_(invariants.std(0).clamp(min=1e-4))
    encoder.vector_rms.copy_(torch.cat(vectors).mean(0).sqrt().clamp(min=1e-6))


def calibrate(objective: Any, data: PackedSet, index: np.ndarray) -> None:
    """Set the read-outs' standardisation to the columns of ``objective`` over training molecules.

    In training it follows the raw weights; the averaged ones, which are evaluated, have other columns.
    """
    objective.eval()
    encoder = objective.encoder
    with torch.no_grad():
        rows = torch.cat(
            [encoder.invariant(encoder.tokens(batch)) for batch, _ in _passes(objective, data, index)]
        )
    objective.standardise.mean.copy_(rows.mean(0))
    objective.standardise.variance.copy_(rows.var(0))


def held_out_losses(objective: Any, data: PackedSet, index: np.ndarray) -> dict[str, float]:
    """Mean losses over held-out molecules, and marks that have a meaning of their own.

    These are the ``effective_dimension`` of the invariant block; with ``substructures`` the lowest and the
    mean ``auroc`` over the substructures, of all heavy atoms with their elements shown; with the geometry
    losses the mean ``aligned_rmsd`` (Å, without reflection).
    """
    objective.eval()
    sums: dict[str, float] = {}
    rows, logits, labels, rmsd = [], [], [], []
    with torch.no_grad():
        for batch, targets in _passes(objective, data, index):
            for name, value in objective(batch, targets).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch) / len(index)
            tokens = objective.encoder.tokens(batch)
            rows.append(objective.encoder.invariant(tokens))
            if "substructures" in objective.parts:
                part = objective.parts["substructures"]
                logits.append(part.logits(tokens).cpu())
                packed = targets["membership"][tokens.index]
                labels.append(unpack_bits(packed, part.substructures).cpu())
            if "frame" in objective.parts:
                true = tokens.atoms.pad(tokens.atoms.positions)
                found = objective.parts["frame"].coordinates(tokens)
                rmsd.append(aligned_rmsd(found, true, tokens.real))
    marks = {"effective_dimension": effective_dimension(torch.cat(rows))}
    if logits:
        areas = auroc(torch.cat(logits), torch.cat(labels))
        marks |= {"auroc_lowest": float(np.nanmin(areas)), "auroc_mean": float(np.nanmean(areas))}
    if rmsd:
        marks["aligned_rmsd"] = float(torch.cat(rmsd).mean())
    return sums | marks


def _passes(objective: nn.Module, data: PackedSet, index: np.ndarray) -> Iterator[Batch]:
    device = next(objective.parameters()).device
    for part in bucketed(data.sizes, index, 2048, np.random.default_rng(0)):
        batch, targets = data.batch(part)
        yield batch.to(device), {k: v.to(device) for k, v in targets.items()}
