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


def test_the_kernel_knows_the_series():
    """A centre counts one way next to one substructure, and the other way next to another."""
    rng = np.random.default_rng(0)
    series, sense = rng.integers(0, 2, 300), rng.choice([-1, 1], 300)
    common = np.stack([3 * series, 3 * (1 - series), rng.integers(0, 2, 300)], 1)
    rows = np.repeat(np.hstack([common, sense[:, None]]), 2, 0).astype(np.float32)
    rows[1::2, 3] *= -1
    scores = np.repeat((2 * series - 1) * sense, 2) * np.tile([0.5, -0.5], 300)
    wanted = scores[::2] - scores[1::2]
    assert chirality.accuracy(wanted[200:], chirality.kernel(rows, scores, 200)) > 0.95
    X, y = chirality.pair_differences(rows, scores)
    assert chirality.accuracy(y[200:], chirality.ridge(X[:200], y[:200], X[200:])) < 0.7
    swapped = rows.reshape(-1, 2, 4)[:, ::-1].reshape(-1, 4).copy()
    swapped[:400] = rows[:400]
    np.testing.assert_allclose(
        chirality.kernel(swapped, scores, 200), -chirality.kernel(rows, scores, 200), atol=1e-6
    )
    assert not chirality.kernel(rows[:, :3], scores, 200).any()


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
        assert re.search(
            rf"^\| {name} \| 4/2 \| [01].\d+ ± 0.354 \| [01].\d+ ± 0.354 \| [01].\d+ ± 0.354 \|$", out, re.M
        )
    assert re.search(r"^\| ECFP counts \| 4/2 \| 0.500 .* \| 0.500 ", out, re.M)
