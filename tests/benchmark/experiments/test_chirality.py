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
    X, y = chirality.pair_differences(rows[:300].astype(np.float32), scores[:300])
    X_test, y_test = chirality.pair_differences(rows[300:].astype(np.float32), scores[300:])
    assert len(X) == 149
    for head in (chirality.ridge, chirality.forest):
        np.testing.assert_allclose(head(X, y, -X_test), -head(X, y, X_test), atol=1e-9)
        assert chirality.accuracy(y_test, head(X, y, X_test)) > 0.9
        blind = head(X[:, :4], y, X_test[:, :4])
        assert chirality.accuracy(y_test, blind) == 0.5


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
