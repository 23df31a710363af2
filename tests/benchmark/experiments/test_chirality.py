"""Pairs of enantiomers: models that know handedness, and those that cannot."""

import re

import numpy as np

from skmol3d.benchmark.experiments import (
    chirality,
)


def test_chirality_ranks_with_handedness_and_at_chance_without(tmp_path, capsys, monkeypatch):
    """Scores made of a pseudoscalar of the rows: odd models find it, mirror-blind rows cannot."""
    rng = np.random.default_rng(0)
    invariant, odd = rng.normal(size=(200, 4)), rng.normal(size=(200, 3))
    rows = np.concatenate([np.repeat(invariant, 2, 0), np.repeat(odd, 2, 0)], 1)
    rows[1::2, 4:] *= -1
    scores = rows[:, 0] + rows[:, 4]
    rows[7] = np.nan
    first, second, y = chirality.pairs(rows[:300].astype(np.float32), scores[:300])
    *tested, y_test = chirality.pairs(rows[300:].astype(np.float32), scores[300:])
    assert len(first) == 149
    for head in (chirality.ridge, chirality.forest):
        prediction = head(first, second, y, tested)
        np.testing.assert_allclose(head(first, second, y, tested[::-1]), -prediction, atol=1e-9)
        assert chirality.accuracy(y_test, prediction) > 0.9
        blind = head(first[:, :4], second[:, :4], y, [part[:, :4] for part in tested])
        assert chirality.accuracy(y_test, blind) == 0.5


def test_a_forest_may_ask_which_molecule_it_is_first():
    """The sign of the preference is that of an invariant column: no odd function of differences knows it."""
    rng = np.random.default_rng(0)
    invariant, odd = rng.normal(size=(600, 1)), rng.choice([-1.0, 1.0], (600, 1))
    first, second = (np.hstack([invariant, s * odd]).astype(np.float32) for s in (1, -1))
    y = (np.sign(invariant) * odd)[:, 0]
    train, tested = slice(0, 500), (first[500:], second[500:])
    found = [
        chirality.accuracy(y[500:], head(first[train], second[train], y[train], tested))
        for head in (chirality.ridge, chirality.forest)
    ]
    assert found[0] < 0.65
    assert found[1] > 0.9


def test_chirality_prints_every_block(tiny_checkpoint, tmp_path, capsys):
    pairs = [
        "C[C@H](N)C(=O)O",
        "C[C@@H](N)C(=O)O",
        "CC[C@H](O)C",
        "CC[C@@H](O)C",
        "F[C@](Cl)(Br)C",
        "F[C@@](Cl)(Br)C",
    ]
    lines = [f"{s},{k % 2},{k // 2},{'test' if k > 7 else 'train'}" for k, s in enumerate(pairs * 2)]
    (tmp_path / "pairs.csv").write_text("smiles,top_score,pair,split\n" + "\n".join(lines))
    chirality.main([str(tmp_path / "pairs.csv"), "--model", tiny_checkpoint])
    out = capsys.readouterr().out
    for name in (
        "REM3DI, all blocks",
        "REM3DI, invariant",
        "REM3DI, chiral",
        "ECFP counts",
        "ECFP counts with chirality",
    ):
        assert re.search(rf"^\| {name} \| 4/2 \| [01].\d+ ± 0.354 \| [01].\d+ ± 0.354 \|$", out, re.M)
    assert re.search(r"^\| ECFP counts \| 4/2 \| 0.500 .* \| 0.500 ", out, re.M)
