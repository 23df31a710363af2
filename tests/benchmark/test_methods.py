"""Named methods: encoder rows, stored conformers, rivals."""

import dataclasses

import numpy as np
import pytest

from skmol3d import REM3DIFeaturizer
from skmol3d.benchmark import store as store_module
from skmol3d.benchmark.methods import METHODS, PooledBackbone, make_method, rdkit_descriptors
from skmol3d.benchmark.protocol import evaluate
from skmol3d.benchmark.store import ConformerStore
from skmol3d.structures import Conformers, ConformerSettings, StructureError, embed, read_molecule

SMILES = ["CCO", "c1ccccc1O", "not a molecule", "C[C@H](N)C(=O)O", "[U]", "[NH4+].[Cl-]"]


@pytest.fixture(scope="module")
def store():
    return ConformerStore()


def test_rem3di_rows_are_those_of_the_featurizer(tiny_checkpoint, store):
    ours = make_method("rem3di", tiny_checkpoint, store)(SMILES)
    public = REM3DIFeaturizer(model=tiny_checkpoint, errors="nan").fit_transform(SMILES)
    np.testing.assert_allclose(ours, public, rtol=1e-4, atol=1e-5)
    assert np.isnan(ours).all(axis=1).tolist() == [False, False, True, False, True, False]


def test_choices_are_blocks_of_columns(tiny_checkpoint, store):
    import torch

    from skmol3d.benchmark.methods import EncodedConformers
    from skmol3d.encoders import REM3DI
    from skmol3d.encoders.rem3di.words import WordsConfig
    from skmol3d.hub import from_pretrained

    encoder = from_pretrained(tiny_checkpoint)
    assert EncodedConformers(encoder, store).choices is None
    torch.manual_seed(0)
    worded = REM3DI(
        dataclasses.replace(
            encoder.config,
            backbone_pooling=("mean", "sum"),
            words=WordsConfig((7, 5), (0, 1), (1,), (0,), columns=6, folded=9, confidence=0.0),
        )
    ).eval()
    method = EncodedConformers(worded, store)
    rows = method(["CCO", "c1ccccc1O"])
    choices = method.choices
    assert {head: list(sets) for head, sets in choices.items()} == {
        "linear": ["all", "dense", "words", "words and pairs"],
        "forest": ["words", "words and pairs"],
    }
    assert choices["linear"]["all"].tolist() == list(range(rows.shape[1]))
    sizes = worded.output_blocks()
    dense = sizes["invariant"] + sizes["chiral"] + sizes["potential"]
    assert len(choices["linear"]["dense"]) == dense
    assert not set(choices["linear"]["dense"]) & set(choices["forest"]["words and pairs"])
    heavy = np.array([3, 7])
    words = rows[:, choices["forest"]["words"]]
    both = rows[:, choices["forest"]["words and pairs"]]
    # Two vocabularies, one of them with neighbours too; every pair once.
    np.testing.assert_array_equal(words.sum(1), 3 * heavy)
    np.testing.assert_array_equal(both.sum(1), 3 * heavy + heavy * (heavy - 1) // 2)
    assert words.shape[1] == 6 + 5 + 9


def test_random_weights_are_others_of_the_same_shape(tiny_checkpoint, store):
    trained = make_method("rem3di", tiny_checkpoint, store)(SMILES)
    first = make_method("rem3di-random", tiny_checkpoint, store, seed=1)(SMILES)
    again = make_method("rem3di-random", tiny_checkpoint, store, seed=1)(SMILES)
    other = make_method("rem3di-random", tiny_checkpoint, store, seed=2)(SMILES)
    assert first.shape == trained.shape
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first[0], trained[0])
    assert not np.allclose(first[0], other[0])


def test_pooled_backbone_is_numpy_over_atoms(tiny_checkpoint, store):
    import torch

    from skmol3d.encoders.atoms import AtomBatch
    from skmol3d.hub import from_pretrained

    row = make_method("pooled-backbone", tiny_checkpoint, store)(["CCO", "CC(C)=O"])[0]
    encoder = from_pretrained(tiny_checkpoint)
    made = embed(read_molecule("CCO"), ConformerSettings())
    with torch.inference_mode():
        batch = AtomBatch.from_arrays([(made.numbers, made.positions[0], made.charge, made.bonds)])
        scalars = encoder.backbone(batch).scalars.numpy()
    assert len(scalars) == 9
    expected = [scalars.mean(0), scalars.std(0), scalars.max(0), scalars.min(0), scalars.sum(0)]
    np.testing.assert_allclose(row, np.concatenate(expected), rtol=1e-4, atol=1e-5)
    assert sum(PooledBackbone(encoder).output_blocks().values()) == len(row)


def test_stored_conformers_come_back_as_they_were(tmp_path, monkeypatch):
    fresh = ConformerStore(tmp_path).get(SMILES)
    monkeypatch.setattr(store_module, "generate", None)  # a second making would fail
    for first, second in zip(fresh, ConformerStore(tmp_path).get(SMILES), strict=True):
        if isinstance(first, StructureError):
            assert str(first) == str(second)
            continue
        assert isinstance(second, Conformers)
        for name in ("numbers", "positions", "energies", "bonds"):
            old, new = getattr(first, name), getattr(second, name)
            np.testing.assert_array_equal(old, new)
            assert old.dtype == new.dtype
        assert first.charge == second.charge
    assert [type(item) is Conformers for item in fresh] == [True, True, False, True, True, True]


def test_store_survives_an_interruption(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "CHUNK", 2)
    made = []
    make = ConformerStore._make

    def interrupted(self, smiles):
        if len(made) == 1:
            made.append(None)
            raise KeyboardInterrupt
        made.append(smiles)
        return make(self, smiles)

    monkeypatch.setattr(ConformerStore, "_make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ConformerStore(tmp_path).get(["C", "CC", "CCC"])
    assert len(ConformerStore(tmp_path).get(["C", "CC", "CCC"])) == 3
    assert made == [["C", "CC"], None, ["CCC"]]


def test_store_with_failures_alone(tmp_path):
    for _ in range(2):
        (only,) = ConformerStore(tmp_path).get(["nonsense"])
        assert isinstance(only, StructureError)


def test_other_settings_are_other_conformers(tmp_path):
    (plain,) = ConformerStore(tmp_path).get(["CCO"])
    (relaxed,) = ConformerStore(tmp_path, ConformerSettings(relax="mmff")).get(["CCO"])
    assert not np.allclose(relaxed.positions, plain.positions)


def test_rdkit_descriptors():
    from rdkit import Chem
    from rdkit.Chem import Crippen, Descriptors

    rows = rdkit_descriptors(["CCO", "xyz", "c1ccccc1O", "C" * 200])
    names = [name for name, _ in Descriptors._descList]
    assert rows.shape == (4, len(names))
    assert rows[0, names.index("MolWt")] == pytest.approx(46.069)
    assert rows[2, names.index("MolLogP")] == pytest.approx(Crippen.MolLogP(Chem.MolFromSmiles("Oc1ccccc1")))
    assert np.isnan(rows[1]).all()
    assert rows[3, names.index("Ipc")] == 1e6
    assert not np.isinf(rows).any()


def test_ecfp_of_the_issue():
    for name in ("ecfp", "ecfp-count"):
        assert make_method(name).fit_transform(["CCCCCC", "c1ccccc1O"]).shape == (2, 2048)
    assert make_method("ecfp").fit_transform(["CCCCCC"]).max() == 1
    assert make_method("ecfp-count").fit_transform(["CCCCCC"]).max() > 1


def test_all_methods_run_together(tiny_checkpoint, panel):
    (task, _), _ = panel
    task.smiles = ["C" * (1 + i % 6) + "O" * (i // 30) + "N" * (i // 15 % 2) for i in range(60)]
    methods = {name: make_method(name, tiny_checkpoint, ConformerStore()) for name in METHODS}
    results = evaluate(methods, [task], heads=["linear"])
    assert results["method"].tolist() == list(METHODS)
    assert np.isfinite(results["score"]).all()


def test_unknown_method():
    with pytest.raises(ValueError, match="unknown method 'maccs'; known methods: rem3di"):
        make_method("maccs")
