"""Assay labels, values and classes, by linear read-outs of the descriptor: most are unknown."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional

from skmol3d.trainer.data.assays import TARGET, AssayStatistics
from skmol3d.trainer.objectives.encoder import KIND, EncoderPart, Setting, View
from skmol3d.trainer.objectives.registry import Loss, objective

LEAST_ENTROPY = 0.1  # nats; of a base rate of 2%: single positives of rarer classes must not set the loss
EACH = 10  # held-out molecules, or atoms, of either class that an AUROC is measured over


@objective(KIND, Loss("assays", "assay values (standardised) and classes, where they are known", TARGET))
class Assays(EncoderPart):
    """Loss ``assays``: squared errors of standardised values, cross-entropies of classes over their entropy.

    It is a weighted mean over the known labels of a batch: about 1 for read-outs that know the means alone,
    less where classes are rare (`LEAST_ENTROPY`). A label of a task with n training labels weighs 1/√n, so
    that large tasks count for more than small ones, but not in proportion.
    """

    mean: Tensor
    std: Tensor
    weight: Tensor
    entropy: Tensor
    classes: Tensor

    def __init__(self, columns: int, statistics: AssayStatistics) -> None:
        super().__init__()
        counted = torch.from_numpy(statistics.counted)
        classes = torch.from_numpy(statistics.classes)
        labels = torch.from_numpy(statistics.labels).float()
        mean, std = (torch.from_numpy(v).float() for v in (statistics.mean, statistics.std))
        rate = torch.where(classes & counted, mean, 0.5)
        entropy = -(rate * rate.log() + (1 - rate) * (1 - rate).log())
        made = {
            "mean": mean,
            "std": torch.where(counted, std, 1.0),
            "weight": torch.where(counted, labels.clamp(min=1).rsqrt(), 0.0),
            "entropy": entropy.clamp(min=LEAST_ENTROPY),
            "classes": classes,
        }
        for name, values in made.items():
            self.register_buffer(name, values, persistent=False)
        # Most tasks see a label now and then, after which Adam moves all their weights by the learning rate,
        # for several steps: unscaled columns, of which there are a thousand, would overshoot.
        self.scale = columns**-0.5
        self.head = nn.Linear(columns, len(labels))
        with torch.no_grad():  # what the means alone say
            self.head.weight.zero_()
            self.head.bias.copy_(torch.where(classes, rate.logit(), 0.0))

    @classmethod
    def build(cls, names: Collection[str], setting: Setting) -> Assays:
        """For the columns of an encoder.

        Raises
        ------
        ValueError
            If no entry has labels.
        """
        statistics = setting.statistics.assays
        if not statistics.counted.any():
            raise ValueError("weights: assays, but no entry has assay labels; `pack assays` packs them")
        return cls(setting.encoder.pool.size, statistics)

    def forward(self, descriptor: Tensor, values: Tensor) -> Tensor:
        """Loss of columns [B, D] for labels [B, T], NaN where one is unknown; 0 if all are."""
        known = torch.isfinite(values)
        found = self.read_out(descriptor)
        wanted = torch.where(known, self._scaled(values), 0.0)
        crossed = functional.binary_cross_entropy_with_logits(found, wanted.clamp(0, 1), reduction="none")
        error = torch.where(self.classes, crossed / self.entropy, (found - wanted).square())
        weight = known * self.weight
        return (error * weight).sum() / weight.sum().clamp(min=1e-9)

    def compute(self, view: View) -> dict[str, Tensor]:
        """Loss of a batch; 0 if its set has no labels."""
        if TARGET not in view.targets:
            return {"assays": 0.0 * view.descriptor.sum()}
        return {"assays": self(view.descriptor, view.targets[TARGET])}

    def observe(self, view: View) -> dict[str, Tensor]:
        """Read-outs and labels of a batch that has labels."""
        if TARGET not in view.targets:
            return {}
        return {"found": self.read_out(view.descriptor), "wanted": self._scaled(view.targets[TARGET])}

    def marks(self, observed: dict[str, Tensor]) -> dict[str, float]:
        """``assay_r2``, against the training means and weighted as the loss, and the mean ``assay_auroc``."""
        from sklearn.metrics import roc_auc_score

        if not observed:
            return {}
        found, wanted = observed["found"], observed["wanted"]
        classes, weight = self.classes.cpu(), self.weight.cpu()
        known = (torch.isfinite(wanted) & ~classes) * weight
        error = torch.where(known > 0, (found - wanted).square(), 0.0)
        spread = torch.where(known > 0, wanted.square(), 0.0)
        marks = {}
        if known.any():
            marks["assay_r2"] = 1.0 - float((error * known).sum() / (spread * known).sum())
        areas = []
        for task in torch.nonzero(classes & (weight > 0))[:, 0].tolist():
            rows = torch.isfinite(wanted[:, task])
            labels = wanted[rows, task]
            if min((labels == 1).sum(), (labels == 0).sum()) >= EACH:
                areas.append(roc_auc_score(labels.numpy(), found[rows, task].numpy()))
        if areas:
            marks["assay_auroc"] = sum(areas) / len(areas)
        return marks

    def read_out(self, descriptor: Tensor) -> Tensor:
        """Standardised values and logits of classes [B, T] of columns [B, D]."""
        found: Tensor = self.head(self.scale * descriptor)
        return found

    def _scaled(self, values: Tensor) -> Tensor:
        """Standardised values, classes as they are."""
        return torch.where(self.classes, values, (values - self.mean) / self.std)
