"""Packing: what is dropped and why, resumed shards, targets of labelled conformers."""

import numpy as np
import pandas as pd
import pytest
from trainer_examples import SMILES

from skmol3d.structures import (
    ConformerSettings,
    atom_environments,
    conformer_cache,
    embed_cached,
    read_molecule,
)
from skmol3d.trainer.data import pack
from skmol3d.trainer.data.examples import DESCRIPTORS
from skmol3d.trainer.data.positions import POSITION_UNIT, integer_positions
from skmol3d.trainer.data.sets import Row, stack
from skmol3d.trainer.data.shards import read_shards


def test_pack_smiles_says_what_it_drops_and_why():
    rows, failures = pack.pack_smiles(
        ["CCCO", "not a molecule", "CO", "c1ccccc1CCCC", "C[C@H](N)C(=O)[O-]", None], first=7, largest=9
    )
    assert [f.index for f in failures] == [8, 9, 10, 12]
    assert failures[0].input == "'not a molecule'"
    assert [f.reason for f in failures[1:]] == [
        "2 heavy atoms, not 4 to 9",
        "10 heavy atoms, not 4 to 9",
        "no SMILES",
    ]
    packed = stack(rows)
    assert packed.charge.tolist() == [0, -1]
    assert packed.sizes.tolist() == [12, 12]
    heavy = packed.numbers > 1
    assert heavy.sum() == 4 + 6
    assert packed.molecule_targets["descriptors"].shape == (2, len(DESCRIPTORS))
    assert packed.atom_targets["environments"].shape == (24, 6)
    assert ((packed.atom_targets["environments"][:, 0] > 0) == heavy).all()
    assert packed.atom_targets["handedness"].tolist().count(-1) == 1
    positions = packed.positions * POSITION_UNIT
    np.testing.assert_allclose(positions[:12].mean(0), 0, atol=1e-3)
    distances = np.linalg.norm(positions[:12, None] - positions[:12], axis=-1)[np.triu_indices(12, 1)]
    assert 0.9 < distances.min() < 1.05  # the O-H bond, Å


def test_a_killed_run_continues_with_the_missing_shards(tmp_path, monkeypatch):
    source = tmp_path / "smiles.csv"
    pd.DataFrame({"smiles": SMILES[:6]}).to_csv(source, index=False)
    monkeypatch.setattr(pack, "SHARD", 2)

    def run():
        pack.pack_corpus(source, tmp_path / "out", count=6, largest=20, n_jobs=1, seed=0)
        return {f.name: f.stat().st_mtime_ns for f in (tmp_path / "out").glob("shard_*")}

    first = run()
    failures = "shard_0002.failures.csv"  # ethanol is too small
    assert set(first) == {"shard_0000.npz", failures, "shard_0001.npz", "shard_0002.npz"}
    assert pd.read_csv(tmp_path / "out" / failures)["input"].tolist() == ["'CCO'"]
    with np.load(tmp_path / "out" / "shard_0001.npz") as data:
        before = dict(data)
    (tmp_path / "out" / "shard_0001.npz").unlink()
    second = run()
    assert {k for k in first if first[k] == second[k]} == {"shard_0000.npz", failures, "shard_0002.npz"}
    with np.load(tmp_path / "out" / "shard_0001.npz") as data:
        for key in before:
            np.testing.assert_array_equal(data[key], before[key])


def test_shards_of_another_file_are_not_continued(tmp_path):
    for name, smiles in (("a", "CCCO"), ("b", "CCCN")):
        pd.DataFrame({"smiles": [smiles]}).to_csv(tmp_path / f"{name}.csv", index=False)
    pack.pack_corpus(tmp_path / "a.csv", tmp_path / "out")
    pack.pack_corpus(tmp_path / "a.csv", tmp_path / "out")
    with pytest.raises(ValueError, match="out: packed from another file; remove the folder"):
        pack.pack_corpus(tmp_path / "b.csv", tmp_path / "out")
    with pytest.raises(ValueError, match="out: packed with largest=45; remove the folder"):
        pack.pack_corpus(tmp_path / "a.csv", tmp_path / "out", largest=20)


def test_a_shard_without_molecules_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "SHARD", 1)
    (tmp_path / "a.smi").write_text("CCCO\nC\nCCCN\n")
    pack.pack_corpus(tmp_path / "a.smi", tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.npz"))) == 3
    assert read_shards(tmp_path / "out").sizes.tolist() == [12, 13]
    (tmp_path / "b.smi").write_text("C\n")
    pack.pack_corpus(tmp_path / "b.smi", tmp_path / "nothing")
    with pytest.raises(ValueError, match="nothing: no molecule in its shards"):
        read_shards(tmp_path / "nothing")


def test_pack_xtb_wants_the_atoms_of_the_smiles(data_root, tmp_path):
    table = pd.read_csv(data_root / "smiles.csv")
    table.loc[1, "smiles"] = "CC(=O)N"
    table.to_csv(tmp_path / "smiles.csv", index=False)
    with pytest.raises(
        ValueError, match=r"conformer 3: its atoms are not those of SMILES 'CC\(=O\)N' \(row 1\)"
    ):
        pack.pack_xtb(data_root / "labels.npz", tmp_path / "smiles.csv", tmp_path / "out.npz")


def test_pack_xtb_takes_the_file_that_was_labelled(data_root, tmp_path):
    """Its atoms are in the order of the canonical SMILES, of the parent of a salt, and it numbers no rows."""
    texts = ["OCCC", "CCCC(=O)[O-].[Na+]", "C(C)(N)CC"]
    (tmp_path / "mine.csv").write_text("\n".join(["smiles", *texts]) + "\n")
    molecules = [read_molecule(text) for text in texts]
    made = [embed_cached(molecule, ConformerSettings(), None) for molecule in molecules]
    rows = [
        Row(
            c.numbers, integer_positions(c.positions[0]), float(c.charge), k, molecule_targets={"energy": 0.0}
        )
        for k, c in enumerate(made)
    ]
    whole = stack(rows)
    with np.load(data_root / "labels.npz") as labels:
        plain = {
            name: np.zeros((len(rows), *labels[name].shape[1:]))
            for name in ("energy", "homo", "lumo", "dipole")
        }
        atoms = {
            name: np.zeros((len(whole.numbers), *labels[name].shape[1:])) for name in ("forces", "charges")
        }
    np.savez(
        tmp_path / "labels.npz",
        numbers=whole.numbers, positions=whole.positions, offsets=whole.offsets,
        total_charge=whole.charge, kind=np.zeros(3, np.uint8), row=np.arange(3), **plain, **atoms,
    )  # fmt: skip
    pack.pack_xtb(tmp_path / "labels.npz", tmp_path / "mine.csv", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as targets:
        expected = np.concatenate([atom_environments(molecule.mol) for molecule in molecules])
        assert ((targets["environments"] > 0) == (expected > 0)).all()
        mass = targets["descriptors"][:, DESCRIPTORS.index("MolWt")]
        assert mass.tolist() == pytest.approx([60.1, 87.1, 73.14], abs=0.06)
    with pytest.raises(ValueError, match=r"out.dat: targets go to a .npz file"):
        pack.pack_xtb(tmp_path / "labels.npz", tmp_path / "mine.csv", tmp_path / "out.dat")
    (tmp_path / "short.csv").write_text("smiles\nOCCC\n")
    with pytest.raises(ValueError, match=r"short.csv: no molecule has the row 1 of conformer 1"):
        pack.pack_xtb(tmp_path / "labels.npz", tmp_path / "short.csv", tmp_path / "other.npz")


def test_more_molecules_are_not_drawn_than_there_are(tmp_path):
    (tmp_path / "a.smi").write_text("CCCCO\nCCCCN\n")
    pack.pack_corpus(tmp_path / "a.smi", tmp_path / "out", count=100_000)
    assert len(read_shards(tmp_path / "out")) == 2


def test_pack_xtb_targets(data_root):
    with np.load(data_root / "labels.npz") as labels, np.load(data_root / "targets.npz") as targets:
        assert len(targets["environments"]) == len(targets["handedness"]) == len(labels["numbers"])
        assert len(targets["descriptors"]) == len(labels["energy"])
        mass = targets["descriptors"][:, DESCRIPTORS.index("MolWt")]
        alanine = slice(*labels["offsets"][[6, 7]])
        assert mass[6] == pytest.approx(89.09, abs=0.01)
        assert targets["handedness"][alanine].tolist() == [0, -1] + [0] * 11


def test_packing_again_embeds_nothing_again(tmp_path, monkeypatch):
    (tmp_path / "a.smi").write_text("CCCCO\nC[C@H](N)CCO\n")
    cache_dir = tmp_path / "cache"
    pack.pack_corpus(tmp_path / "a.smi", tmp_path / "out", cache_dir=cache_dir)
    conformer_cache.CACHE.memory.clear()
    monkeypatch.setattr(
        conformer_cache, "generate", lambda todo, *_: iter([pytest.fail("again") for _ in todo])
    )
    pack.pack_corpus(tmp_path / "a.smi", tmp_path / "again", cache_dir=cache_dir)
    first, second = (np.load(tmp_path / name / "shard_0000.npz") for name in ("out", "again"))
    assert np.array_equal(first["positions"], second["positions"])
