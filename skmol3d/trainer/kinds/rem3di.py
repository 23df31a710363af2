"""Recipe kind ``rem3di``: the encoder over a frozen potential, on several objectives at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.config import check_positive, config_from_dict, config_to_dict
from skmol3d.encoders.potential import Potential
from skmol3d.encoders.rem3di import REM3DI, REM3DIConfig
from skmol3d.encoders.rem3di.properties import PLAIN
from skmol3d.trainer.data.batches import Batch, Mixture, bucketed
from skmol3d.trainer.data.corpus import CorpusStatistics, with_targets
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.kinds.base import LoopRecipe, Place, write_metrics
from skmol3d.trainer.kinds.continued import start_from, vocabularies_of
from skmol3d.trainer.kinds.finish import (
    check_size,
    measure_charges,
    measure_features,
    measure_rows,
    measure_strain,
    measure_words,
)
from skmol3d.trainer.loop import main_process, train
from skmol3d.trainer.objectives.encoder import EncoderObjective, EncoderPart
from skmol3d.trainer.objectives.regularisation import effective_dimension
from skmol3d.trainer.probe import LinearProbe, read_probes

ABOUT = """REM3DI descriptor (arXiv:2607.19977) over the frozen potential `{potential}`: pair-biased
transformer over heavy atoms, whose pooled statistics are joined by plain statistics of the potential's
features over all atoms; compressed where the recipe says `dense` (and, as `properties`, read out to estimate
RDKit's descriptors), and followed by a chiral block that changes sign between mirror images where it does
not.{words}{surface}{started}

**Limits.** Elements below only, and molecules like those of the data below. Descriptors of flexible molecules
depend on the conformer (words of a molecular graph do not).

Metrics below: the training losses on held-out molecules of the first entry (squared errors of standardised
targets; cross-entropies for environments and handedness).
"""
WORDS = """
Counts of words: how many atoms have each of the most frequent environments, by the molecular graph, or as a
linear map of each token names them where there is none{folded}; some also by the handedness of the centre
next to them."""
FOLDED = "; the others folded (`rare`)"
SURFACE = " Columns of the molecular surface, from charges that are linear in the potential's features."


@dataclass(frozen=True)
class Targets:
    """What the corpus's targets are.

    Attributes
    ----------
    classes : tuple of int
        Most words for atom environments of radius 0, 1, 2 (ECFP), then the same of pharmacophores (FCFP).
    bits : int
        Size of the folded environment counts.
    """

    classes: tuple[int, ...]
    bits: int

    def __post_init__(self) -> None:
        check_positive(self, "bits")
        if not self.classes or min(self.classes) < 1:
            raise ValueError(f"classes must be positive numbers, got {list(self.classes)}")


@dataclass(frozen=True)
class Probe:
    """Ridge regressions on the invariant columns while it trains.

    Attributes
    ----------
    sets : str
        Folder below ``--data``, packed by ``pack probe``.
    every : int
        Steps.
    """

    sets: str
    every: int

    def __post_init__(self) -> None:
        check_positive(self, "every")


@dataclass(frozen=True)
class Online:
    """Conformers embedded while the model trains.

    Attributes
    ----------
    smiles : str
        File below ``--data``.
    workers : int
        Processes.
    share : float
        Of the batches.
    """

    smiles: str
    workers: int
    share: float

    def __post_init__(self) -> None:
        check_positive(self, "workers", "share")
        if self.share > 1:
            raise ValueError(f"share is of the batches, at most 1; got {self.share}")


@dataclass(frozen=True, kw_only=True)
class REM3DIRecipe(LoopRecipe):
    """An encoder.

    Attributes
    ----------
    potential : str
        Checkpoint, or a recipe's name: what was trained by it in the same folder of runs is taken.
    initial : str or None
        REM3DI checkpoint whose weights to start from.
    online : Online or None
    targets : Targets
    masked : float
        Share of heavy atoms whose elements the loss ``substructures`` hides.
    probe : Probe or None
    model : dict
        Fields of `REM3DIConfig` but ``backbone``, which is the potential's, and ``words.classes``. Sizes of
        ``words.columns``, ``words.signed`` and ``properties`` are the most that there will be.
    """

    kind: str = "rem3di"
    potential: str
    initial: str | None = None
    online: Online | None = None
    targets: Targets
    masked: float = 0.15
    probe: Probe | None = None
    model: dict[str, Any]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.masked < 1:
            raise ValueError(f"masked is a share, from 0 and below 1; got {self.masked}")

    def run(
        self,
        place: Place,
        potential: Potential | None = None,
        corpus: Corpus | None = None,
        collapse: float = 0.1,
    ) -> REM3DI:
        """Train the encoder.

        ``potential`` and ``corpus`` are the recipe's, should they have been read already; ``collapse`` is
        that of `skmol3d.trainer.loop.train`.
        """
        potential = potential or place.potential(self.potential)
        corpus = corpus or Corpus.read(self, place)
        encoder = self.build(corpus, potential)
        if main_process():
            corpus.statistics.save(place.logs)
        first, shown = corpus.sets[0], corpus.held_out[0][:600]

        def evaluate(objective: nn.Module) -> dict[str, float]:
            calibrate(objective, corpus.sets, corpus.train, self.shares)
            return held_out_losses(objective, first, shown)

        packed = Mixture(
            corpus.sets, self.shares, corpus.train, self.atoms, self.seed, smallest=2, views=self.views
        )
        with self._batches(packed, place.data) as batches:
            best = train(
                EncoderObjective(encoder, corpus.statistics, list(self.weights), self.masked),
                batches,
                evaluate=evaluate,
                log_every=100,
                evaluate_every=1000,
                callbacks=self._probes(place.data),
                collapse=collapse,
                **self.settings(place),
            )
        if main_process():
            write_metrics(place, evaluate(best))
        trained = best.encoder
        assert isinstance(trained, REM3DI)
        measure_rows(trained, corpus.sets, corpus.train)
        measure_strain(trained, potential, corpus.sets, corpus.train)
        return trained.eval()

    def build(self, corpus: Corpus, potential: Potential) -> REM3DI:
        """The encoder before its first step."""
        torch.manual_seed(self.seed)
        model = {"backbone": config_to_dict(potential.config.backbone), **self.model}
        # Words are the classes that `environments` teaches: without it there is nothing to count.
        classes = corpus.statistics.classes
        words = {**self.model.get("words", {}), "classes": list(classes)}
        for name in ("columns", "signed"):  # a small corpus has fewer classes than a recipe has columns for
            words[name] = [min(pair) for pair in zip(words.get(name, ()), classes, strict=False)]
        model["words"] = words if "environments" in self.weights else {}
        model["strain"] = self.model.get("strain", False) and bool(model["words"])
        model["properties"] = min(self.model.get("properties", 0), corpus.statistics.descriptors, PLAIN)
        encoder = REM3DI(config_from_dict(REM3DIConfig, model, "recipe.model"))
        check_size(encoder, corpus.train)
        encoder.backbone.load_state_dict(potential.backbone.state_dict())
        encoder.words.name_classes(corpus.statistics.vocabularies)
        measure_features(encoder, corpus.sets, corpus.train)
        measure_words(encoder, corpus.sets, corpus.train)
        if self.initial is not None:
            start_from(encoder, self.initial, corpus.sets[0], corpus.train[0])
        if encoder.surface is not None and not encoder.surface.charge_weight.any():
            measure_charges(encoder, corpus.sets, corpus.train)
        return encoder

    def about(self) -> str:
        """The method and its limits."""
        folded = (self.model.get("words") or {}).get("folded")
        return ABOUT.format(
            potential=self.potential,
            words=WORDS.format(folded=FOLDED if folded else "") if self.weights.get("environments") else "",
            surface=SURFACE if self.model.get("surface") else "",
            started="" if self.initial is None else f" It started from `{self.initial}`.",
        )

    def _probes(self, data: Path) -> list[LinearProbe]:
        if self.probe is None:
            return []
        return [LinearProbe(read_probes(data / self.probe.sets), encode, self.probe.every)]

    @contextmanager
    def _batches(self, packed: Mixture, data: Path) -> Iterator[Callable[..., Iterator[Batch]]]:
        if self.online is None:
            yield packed
            return
        from skmol3d.structures import read_records  # needs rdkit, which other training does not
        from skmol3d.trainer.data.online import OnlineConformers, WithOnline

        records = [record.structure for record in read_records(data / self.online.smiles)]
        smiles = [text for text in records if isinstance(text, str)]
        with OnlineConformers(smiles, workers=self.online.workers, seed=packed.seed) as online:
            yield WithOnline(packed, online, self.online.share)


@dataclass
class Corpus:
    """The data of a run: one set per entry, which conformers train, what the targets look like."""

    sets: list[PackedSet]
    train: list[np.ndarray]
    held_out: list[np.ndarray]
    statistics: CorpusStatistics

    @classmethod
    def read(cls, recipe: REM3DIRecipe, place: Place) -> Corpus:
        """Read what a recipe names; a resumed run keeps its statistics, should the corpus have grown."""
        raw = recipe.read(place)
        splits = recipe.split(raw)
        train = recipe.train_rows(raw, splits)
        sets: dict[str, PackedSet] = {}
        for source in recipe.data:
            targets = None if source.targets is None else place.data / source.targets
            if source.path not in sets:
                sets[source.path] = with_targets(raw[source.path], targets, source.path)
        by_entry = [sets[source.path] for source in recipe.data]
        statistics = CorpusStatistics.load(place.logs) if place.continued else None
        if statistics is None:
            statistics = CorpusStatistics.measure(
                by_entry, train, **asdict(recipe.targets), vocabularies=vocabularies_of(recipe.initial)
            )
        return cls(by_entry, train, [splits[source.path][1] for source in recipe.data], statistics)


def encode(objective: Any, batch: AtomBatch) -> Tensor:
    """The columns that training shapes; what else is in a row is measured when it is over."""
    encoder = objective.encoder
    return encoder.invariant(encoder.tokens(batch))


def calibrate(
    objective: Any, sets: list[PackedSet], train: list[np.ndarray], shares: list[float], molecules: int = 400
) -> None:
    """Set the read-outs' standardisation to the columns of ``objective`` over what it trains on.

    In training it follows the raw weights; the averaged ones, which are evaluated, have other columns. Each
    set has its share: those with larger molecules have larger sums.
    """
    objective.eval()
    encoder = objective.encoder
    rows = []
    with torch.no_grad():
        for data, index, share in zip(sets, train, shares, strict=True):
            count = round(molecules * share / sum(shares))
            sample = np.random.default_rng(0).permutation(index)[:count]
            parts = _passes(objective, data, sample)
            rows += [encoder.invariant(encoder.tokens(batch)) for batch, _ in parts]
    columns = torch.cat(rows)
    objective.standardise.mean.copy_(columns.mean(0))
    objective.standardise.variance.copy_(columns.var(0))


def held_out_losses(objective: Any, data: PackedSet, index: np.ndarray) -> dict[str, float]:
    """Mean losses over held-out molecules, and marks that have a meaning of their own.

    These are the ``effective_dimension`` of the invariant block, and those of the objectives.
    """
    objective.eval()
    sums: dict[str, float] = {}
    rows: list[Tensor] = []
    observed: dict[str, dict[str, list[Tensor]]] = {name: {} for name in objective.parts}
    part: EncoderPart
    with torch.no_grad():
        for batch, targets in _passes(objective, data, index):
            view = objective.view(batch, targets)
            for name, value in objective.compute(view).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch) / len(index)
            rows.append(view.rows)
            for name, part in objective.parts.items():
                for what, values in part.observe(view).items():
                    observed[name].setdefault(what, []).append(values.cpu())
    marks = {"effective_dimension": effective_dimension(torch.cat(rows))}
    for name, part in objective.parts.items():
        marks |= part.marks({what: torch.cat(values) for what, values in observed[name].items()})
    return sums | marks


def _passes(objective: nn.Module, data: PackedSet, index: np.ndarray) -> Iterator[Batch]:
    device = next(objective.parameters()).device
    for part in bucketed(data.sizes, index, 2048, np.random.default_rng(0)):
        batch, targets = data.batch(part)
        targets["group"] = torch.from_numpy(data.group[part])
        yield batch.to(device), {k: v.to(device) for k, v in targets.items()}
