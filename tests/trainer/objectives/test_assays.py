"""Assay labels by linear read-outs."""

import numpy as np
import pytest
import torch
from objective_examples import random_batch, small_rem3di
from sklearn.metrics import roc_auc_score

from skmol3d.trainer.data.assays import AssayStatistics
from skmol3d.trainer.data.corpus import CorpusStatistics
from skmol3d.trainer.objectives.assays import Assays
from skmol3d.trainer.objectives.encoder import EncoderObjective

# Two values, two classes (one rare), and a task with too few labels.
STATISTICS = AssayStatistics(
    labels=np.array([100, 400, 50, 1000, 20]),
    mean=np.array([6.0, 3.0, 0.3, 0.001, 5.0]),
    std=np.array([1.5, 0.5, 0.458, 0.0316, 1.0]),
    classes=np.array([False, False, True, True, False]),
)


def made(seed=0, columns=7):
    torch.manual_seed(seed)
    head = Assays(columns, STATISTICS).double()
    with torch.no_grad():
        head.head.weight.normal_(0, 0.3)
    return head


def labels(rows, known=0.5, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(STATISTICS.mean, STATISTICS.std, (rows, 5))
    values[:, 2:4] = rng.random((rows, 2)) < 0.4
    return np.where(rng.random((rows, 5)) < known, values, np.nan)


def test_the_loss_is_that_of_known_labels_by_hand():
    head, values = made(), labels(12)
    rows = np.random.default_rng(1).normal(size=(12, 7))
    found = head(torch.from_numpy(rows), torch.from_numpy(values)).item()
    weight, bias = (p.detach().numpy() for p in (head.head.weight, head.head.bias))
    out = rows @ weight.T / np.sqrt(7) + bias
    total = norm = 0.0
    for m in range(12):
        for task, count in enumerate(STATISTICS.labels[:4]):  # the last does not count
            value = values[m, task]
            if np.isnan(value):
                continue
            mean = STATISTICS.mean[task]
            if STATISTICS.classes[task]:
                p = 1 / (1 + np.exp(-out[m, task]))
                error = -np.log(p if value else 1 - p)
                error /= max(-mean * np.log(mean) - (1 - mean) * np.log(1 - mean), 0.1)
            else:
                error = (out[m, task] - (value - mean) / STATISTICS.std[task]) ** 2
            total += error / np.sqrt(count)
            norm += 1 / np.sqrt(count)
    assert found == pytest.approx(total / norm, rel=1e-5)


def test_before_training_it_says_the_means():
    head = Assays(7, STATISTICS)
    out = head.read_out(torch.randn(3, 7))
    torch.testing.assert_close(out[:, :2], torch.zeros(3, 2))
    torch.testing.assert_close(out[:, 2:4].sigmoid(), torch.tensor([[0.3, 0.001]] * 3))
    values = torch.tensor([[np.nan] * 2 + [1.0 if k < 3 else 0.0] + [np.nan] * 2 for k in range(10)])
    assert head(torch.randn(10, 7), values).item() == pytest.approx(1, abs=1e-5)


def test_unknown_labels_give_neither_loss_nor_nan():
    head = made()
    rows = torch.randn(4, 7, dtype=torch.float64, requires_grad=True)
    loss = head(rows, torch.full((4, 5), torch.nan))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(rows.grad, torch.zeros_like(rows))


def test_one_label_of_a_rare_task_does_not_overshoot():
    """Under Adam, after a while without one, and whatever the width."""
    statistics = AssayStatistics(np.array([40]), np.array([6.0]), np.array([1.0]), np.array([False]))
    for columns in (100, 1600):
        head = Assays(columns, statistics)
        optimiser = torch.optim.AdamW(head.parameters(), lr=1e-3)
        rows = torch.randn(1, columns, generator=torch.Generator().manual_seed(0))
        for value in [4.0] + [torch.nan] * 200 + [9.0] + [torch.nan] * 30:
            optimiser.zero_grad()
            head(rows, torch.tensor([[value]])).backward()
            optimiser.step()
        assert head.read_out(rows).abs().item() < 1


def corpus_statistics(assays=STATISTICS):
    zeros = torch.zeros(3)
    return CorpusStatistics([np.arange(1, 4, dtype=np.uint32)], 3, zeros, zeros, zeros, zeros, assays)


def test_sets_without_labels_train_beside_those_with():
    encoder = small_rem3di()
    objective = EncoderObjective(encoder, corpus_statistics(), ["assays", "invariance", "variance"])
    objective.train()
    batch = random_batch()
    optimiser = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=1e-2)
    with_labels = {"assays": torch.from_numpy(labels(3, known=1.0)).float()}
    found = []
    for targets in [with_labels, {}, {"group": torch.tensor([0, 0, 1])}] * 8:
        losses = objective(batch, targets)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        found.append({name: loss.item() for name, loss in losses.items()})
    assert np.isfinite([list(losses.values()) for losses in found]).all()
    assert all(losses["assays"] == 0 for k, losses in enumerate(found) if k % 3)
    assert all((losses["invariance"] > 0) == (k % 3 == 2) for k, losses in enumerate(found))
    assert found[-3]["assays"] < found[0]["assays"]


def test_no_labels_at_all_are_an_error():
    nothing = AssayStatistics(np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros(0, bool))
    with pytest.raises(ValueError, match="no entry has assay labels"):
        EncoderObjective(small_rem3di(), corpus_statistics(nothing), ["assays"])


def test_marks_are_r2_of_values_and_auroc_of_classes():
    head, values = made(), labels(80, known=0.8)
    out = np.random.default_rng(2).normal(size=(80, 5))
    scaled = np.where(STATISTICS.classes, values, (values - STATISTICS.mean) / STATISTICS.std)
    marks = head.marks({"found": torch.from_numpy(out), "wanted": torch.from_numpy(scaled)})
    weight = np.isfinite(scaled[:, :2]) / np.sqrt(STATISTICS.labels[:2])
    wanted = np.nan_to_num(scaled[:, :2])
    r2 = 1 - (weight * (out[:, :2] - wanted) ** 2).sum() / (weight * wanted**2).sum()
    assert marks["assay_r2"] == pytest.approx(r2, rel=1e-5)
    known = [np.isfinite(values[:, task]) for task in (2, 3)]
    areas = [roc_auc_score(values[k, t], out[k, t]) for k, t in zip(known, (2, 3), strict=True)]
    assert marks["assay_auroc"] == pytest.approx(np.mean(areas))
    few = head.marks({"found": torch.from_numpy(out[:12]), "wanted": torch.from_numpy(scaled[:12])})
    assert few.keys() == {"assay_r2"}
    assert head.marks({}) == {}
