"""Labels of substructures in batches, and the membership loss."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from objective_examples import BACKBONES, random_batch, small_rem3di
from sklearn.metrics import roc_auc_score
from trainer_examples import DRUGS, embedded

from skmol3d.encoders import AtomBatch
from skmol3d.trainer.data.membership import substructure_membership
from skmol3d.trainer.data.transforms import MASK, mask_elements
from skmol3d.trainer.objectives.assays import EACH
from skmol3d.trainer.objectives.substructures import (
    SubstructureMembership,
    auroc,
    unpack_bits,
)


def test_loss_against_logarithms():
    encoder = small_rem3di(hydrogens=True)
    objective = SubstructureMembership(8).double()
    batch = random_batch()
    labels = np.random.default_rng(0).random((len(batch.numbers), 304)) < 0.2
    packed = torch.from_numpy(np.packbits(labels, axis=1))
    tokens = encoder.tokens(batch)
    loss = objective(tokens, packed)
    terms = []
    logits = objective.logits(tokens).detach().numpy()
    for i, z in enumerate(batch.numbers.tolist()):
        if z > 1:
            share = 1 / (1 + np.exp(-logits[i]))
            terms.append(-np.where(labels[i], np.log(share), np.log(1 - share)))
    assert 0 < len(terms) < len(labels)
    assert loss.item() == pytest.approx(np.mean(terms))
    labels[(batch.numbers == 1).numpy()] ^= True
    again = objective(tokens, torch.from_numpy(np.packbits(labels, axis=1)))
    assert again.item() == loss.item()


def test_labels_follow_tokens_without_hydrogens():
    encoder, objective = small_rem3di(), SubstructureMembership(8).double()
    batch = random_batch()
    packed = torch.randint(0, 256, (len(batch.numbers), 38), dtype=torch.uint8)
    tokens = encoder.tokens(batch)
    assert len(tokens.index) < len(batch.numbers)
    labels = torch.from_numpy(np.unpackbits(packed.numpy(), axis=1)).double()[tokens.index]
    expected = -(objective.logits(tokens) * (2 * labels - 1)).sigmoid().log().mean()
    torch.testing.assert_close(objective(tokens, packed), expected)


def test_molecules_of_hydrogen_alone_have_no_loss():
    hydrogen = AtomBatch(
        torch.tensor([1, 1]), torch.eye(3).double()[:2], torch.tensor([2]), torch.zeros(1).double()
    )
    objective = SubstructureMembership(8).double()
    packed = torch.full((2, 38), 255, dtype=torch.uint8)
    assert objective(small_rem3di().tokens(hydrogen), packed).item() == 0


@pytest.mark.parametrize("count", [7, 8, 9, 304])
def test_unpack_bits(count):
    rows = np.random.default_rng(count).random((5, count)) < 0.5
    found = unpack_bits(torch.from_numpy(np.packbits(rows, axis=1)), count)
    np.testing.assert_array_equal(found.numpy(), rows)


def test_labels_of_another_list_are_refused():
    with pytest.raises(ValueError, match="304 substructures take 38 bytes per atom, got 37: pack the set"):
        unpack_bits(torch.zeros(2, 37, dtype=torch.uint8), 304)


def test_masking_hides_heavy_atoms_from_a_network_that_keeps_them():
    batch = random_batch((9,) * 100)
    heavy = batch.numbers > 1
    hidden, masked = mask_elements(batch, 0.3)
    assert masked[heavy].double().mean().item() == pytest.approx(0.3, abs=0.05)
    assert not masked[~heavy].any()
    assert (hidden.numbers[masked] == MASK).all()
    assert torch.equal(hidden.numbers[~masked], batch.numbers[~masked])
    encoder = small_rem3di()
    assert torch.equal(encoder.tokens(hidden).index, encoder.tokens(batch).index)
    # Once all heavy atoms are masked, their elements make no difference.
    others = AtomBatch(torch.where(heavy, 7, 1), batch.positions, batch.counts, batch.charge)
    rows = [encoder(mask_elements(b, 1.1)[0]) for b in (batch, others)]
    torch.testing.assert_close(*rows)
    assert (encoder(batch) - encoder(others)).abs().amax() > 1e-4


def test_auroc_against_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.random((60, 6)) < [0.5, 0.1, 0.9, 0.3, 0.0, 1.0]
    scores = np.round(rng.normal(labels, 1.5), 1)  # with ties
    found = auroc(scores, labels)
    expected = [roc_auc_score(labels[:, k], scores[:, k]) for k in range(4)]
    np.testing.assert_allclose(found[:4], expected)
    assert np.isnan(found[4:]).all()


def test_marks_are_of_substructures_that_have_atoms_enough():
    rng = np.random.default_rng(0)
    labels, logits = np.zeros((30, 3)), rng.normal(size=(30, 3))
    labels[: EACH - 1, 0] = labels[:EACH, 1] = labels[:15, 2] = 1
    logits[:15, 2] += 1
    objective = SubstructureMembership(4)
    marks = objective.marks({"logits": torch.from_numpy(logits), "labels": torch.from_numpy(labels)})
    areas = [roc_auc_score(labels[:, k], logits[:, k]) for k in (1, 2)]
    assert marks == {"auroc_lowest": pytest.approx(min(areas)), "auroc_mean": pytest.approx(np.mean(areas))}
    alone = {"logits": torch.zeros(30, 1), "labels": torch.from_numpy(labels[:, :1])}
    assert objective.marks(alone) == {}


@pytest.mark.slow
def test_training_tells_substructures_apart():
    molecules, labels = [], []
    for smiles in DRUGS[:6]:
        mol, positions = embedded(smiles)
        molecules.append(([a.GetAtomicNum() for a in mol.GetAtoms()], positions, 0, None))
        labels.append(np.packbits(substructure_membership(mol), axis=1))
    batch, packed = AtomBatch.from_arrays(molecules), torch.from_numpy(np.concatenate(labels))
    encoder = small_rem3di(dataclasses.replace(BACKBONES[0], width=32), width=32, heads=4).float()
    objective = SubstructureMembership(32)
    optimiser = torch.optim.Adam([*encoder.parameters(), *objective.parameters()], lr=0.01)
    for _ in range(250):
        optimiser.zero_grad()
        objective(encoder.tokens(batch), packed).backward()
        optimiser.step()
    with torch.no_grad():
        tokens = encoder.tokens(batch)
        truth = unpack_bits(packed[tokens.index], 304)
        scores = objective.logits(tokens)
    assert np.nanmean(auroc(scores, truth)) > 0.85


@pytest.mark.slow
def test_training_needs_no_rdkit():
    imports = "import skmol3d.trainer.objectives.registry as r; r.losses('rem3di')"
    imports += "; import skmol3d.trainer.kinds.rem3di, skmol3d.trainer.kinds.potential"
    code = f"import sys; {imports}; sys.exit('rdkit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
