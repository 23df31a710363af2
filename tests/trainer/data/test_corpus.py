"""Targets of the pretraining corpus: folded counts, vocabularies, statistics."""

import numpy as np
import pytest
import torch

from skmol3d.encoders import AtomBatch
from skmol3d.trainer.data.corpus import CorpusStatistics, classified, fingerprint_counts, with_targets
from skmol3d.trainer.data.sources import read_set


@pytest.fixture
def sets(data_root):
    labelled, corpus = read_set(data_root / "labels.npz"), read_set(data_root / "corpus")
    return [with_targets(labelled, data_root / "targets.npz", "labels"), with_targets(corpus, None, "corpus")]


def measure(sets, classes=(6, 4), bits=32):
    return CorpusStatistics.measure(sets, [np.arange(len(s)) for s in sets], list(classes), bits)


def test_both_sorts_of_sets_have_the_same_targets(sets, data_root, tmp_path):
    assert [len(s) for s in sets] == [30, 9]  # ethanol is too small for the corpus
    for data in sets:
        assert len(data.atom_targets["environments"]) == len(data.numbers) == data.offsets[-1]
        assert len(data.molecule_targets["descriptors"]) == len(data)
    labelled, corpus = (s.molecule_targets["electronic"] for s in sets)
    assert np.isnan(corpus).all()
    assert np.isnan(labelled[sets[0].charge != 0, 2]).all()  # an ion's dipole depends on the origin
    np.testing.assert_allclose(np.nanmean(labelled, 0), 0, atol=1e-5)
    np.testing.assert_allclose(np.nanstd(labelled, 0), 1, atol=1e-5)
    raw = read_set(data_root / "labels.npz")
    with pytest.raises(ValueError, match="labels: neither a corpus of `pack corpus` nor labelled"):
        with_targets(raw, None, "labels")
    with np.load(data_root / "targets.npz") as targets:
        np.savez(tmp_path / "short.npz", **{k: v[:3] for k, v in targets.items()})
    with pytest.raises(ValueError, match=r"short.npz: not the targets of labels: it has 30 conformers"):
        with_targets(raw, tmp_path / "short.npz", "labels")


def test_fingerprint_counts_against_a_loop():
    rng = np.random.default_rng(0)
    sizes = [4, 1, 6]
    batch = AtomBatch.from_arrays([(np.full(n, 6), rng.normal(size=(n, 3)), 0, None) for n in sizes])
    environments = rng.choice([0, 1, 5, 13, 4_000_000_007], (11, 6))
    expected = np.zeros((3, 8))
    for atom, molecule in enumerate(batch.molecule.tolist()):
        for identifier in environments[atom, :3].tolist():
            if identifier:
                expected[molecule, identifier % 8] += 1
    stored = torch.from_numpy(environments.astype(np.uint32))
    np.testing.assert_array_equal(fingerprint_counts(batch, stored, 8), expected)


def test_counts_reach_the_batch(sets):
    statistics = measure(sets)
    batch, targets = sets[0].batch(np.arange(5))
    counts = fingerprint_counts(batch, targets["environments"], statistics.bits)
    heavy = torch.zeros(5).index_add(0, batch.molecule, (batch.numbers > 1).float())
    torch.testing.assert_close(counts.sum(1), 3 * heavy)  # one environment for each of three radii


def test_vocabularies_hold_the_most_frequent(sets):
    statistics = measure(sets)
    assert statistics.classes == (6, 4)
    for radius, vocabulary in enumerate(statistics.vocabularies):
        found = np.concatenate([s.atom_targets["environments"][:, radius] for s in sets])
        names, count = np.unique(found[found > 0], return_counts=True)
        kept = np.isin(names, vocabulary)
        assert kept.sum() == len(vocabulary)
        assert count[kept].min() >= count[~kept].max(initial=0)
        order = [count[names == v][0] for v in vocabulary]
        assert order == sorted(order, reverse=True)
        for data in sets:
            identifiers = data.atom_targets["environments"][:, radius]
            environments = torch.from_numpy(data.atom_targets["environments"])
            classes = classified(environments, statistics.vocabularies)
            labels = classes[:, radius].numpy()
            assert ((labels >= 0) == np.isin(identifiers, vocabulary)).all()
            np.testing.assert_array_equal(vocabulary[labels[labels >= 0]], identifiers[labels >= 0])


def test_standardised_descriptors(sets):
    statistics = measure(sets)
    values = torch.from_numpy(np.concatenate([s.molecule_targets["descriptors"] for s in sets]))
    out = statistics.standardised(values)
    constant = statistics.std <= 1e-6
    assert 0 < constant.sum() < statistics.descriptors
    assert torch.isnan(out[:, constant]).all()
    # Winsorised at 1 and 99 %, which takes a little off the spread of 40 values.
    moving = out[:, ~constant]
    assert moving.abs().amax() <= 4
    assert moving.mean(0).abs().amax() < 0.2
    assert (moving.std(0).median() - 1).abs() < 0.1


def test_scaled_counts(sets):
    statistics = measure(sets)
    counts = torch.cat(
        [
            fingerprint_counts(batch, targets["environments"], statistics.bits)
            for batch, targets in (s.batch(np.arange(len(s))) for s in sets)
        ]
    )
    out = statistics.scaled(counts)
    torch.testing.assert_close(out.mean(0), torch.zeros(32), rtol=0, atol=1e-5)
    assert out.var(0).mean().item() == pytest.approx(1, abs=1e-4)
    # Between raw and z-scored: the spread of a column is the root of what it was, up to one common factor.
    raw = counts.log1p().std(0)
    common = raw > 0.05
    ratio = out.std(0)[common] / raw[common].sqrt()
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-4, atol=0)


def test_save_and_load(sets, tmp_path):
    assert CorpusStatistics.load(tmp_path) is None
    statistics = measure(sets)
    statistics.save(tmp_path)
    loaded = CorpusStatistics.load(tmp_path)
    assert loaded.bits == 32
    assert loaded.classes == (6, 4)
    for name in ("mean", "std", "bit_mean", "bit_scale"):
        assert torch.equal(getattr(loaded, name), getattr(statistics, name))
    for name in ("labels", "mean", "std", "classes"):
        np.testing.assert_array_equal(getattr(loaded.assays, name), getattr(statistics.assays, name))
    for found, expected in zip(loaded.vocabularies, statistics.vocabularies, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
