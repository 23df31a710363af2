"""QM9 from frozen embeddings: nothing is chosen by the test molecules."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from skmol3d.benchmark.experiments import qm9


def test_settings_are_chosen_without_the_test_molecules():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    y = X[:, 0] + 0.1 * rng.normal(size=200)
    train, inner, test = qm9.split(200)
    assert sorted(np.concatenate([train, inner, test])) == list(range(200))
    models = [Ridge(1e-3), Ridge(1e6)]
    found, inner_error = qm9.best(models, X, y, qm9.absolute)
    wrong = y.copy()
    wrong[test] = 1e6
    again, same_error = qm9.best(models, X, wrong, qm9.absolute)
    np.testing.assert_array_equal(again, found)
    assert same_error == inner_error < 0.15
    assert qm9.absolute(found, y[test]) < 0.15
    assert qm9.distance(np.array([[3.0, 4.0, 0.0]]), np.zeros((1, 3))) == 5.0


def test_tables_of_gaps_and_dipoles(monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(qm9, "PERCEPTRONS", [Ridge(10.0)])
    rows = rng.normal(size=(150, 16)).astype(np.float32)  # four vectors and four scalars
    vectors = rows[:, :12].reshape(-1, 3, 4)
    dipoles = vectors @ np.array([1.0, 0.0, -2.0, 0.5])
    gaps = rows[:, 12] + 5.0
    table = qm9.gap_table({"known": rows, "noise": rng.normal(size=(150, 3))}, gaps)
    known, noise = (
        next(line for line in table.split("\n") if f"| {name} |" in line) for name in ("known", "noise")
    )
    assert float(known.split("|")[2]) < 0.05 < 0.5 < float(noise.split("|")[2])
    assert "chosen by inner error" in table
    table = qm9.orbital_table({"known": rows}, {"HOMO": gaps - 10.0, "LUMO": gaps})
    assert float(table.split("|")[-2]) < 0.05 / qm9.HARTREE
    table = qm9.dipole_table(rows, {"scalars": rows[:, 12:]}, {"HF": dipoles})
    head = next(line for line in table.split("\n") if "EquivariantRidge" in line)
    assert float(head.split("|")[3]) < 0.05


@pytest.mark.parametrize("better_inside", ["ridge", "perceptron"])
def test_the_head_is_chosen_by_its_inner_error(monkeypatch, better_inside):
    """The family that is better inside the training part is worse on the test part here, and still taken."""
    y = np.zeros(100)
    _, inner, test = qm9.split(100)

    class Constant:
        def __init__(self, inside, outside):
            self.rows = np.zeros(100)
            self.rows[inner], self.rows[test] = inside, outside

        def fit(self, X, y):
            return self

        def predict(self, X):
            return self.rows[X[:, 0].astype(int)]

    families = {"ridge": Constant(2.0, 3.0), "perceptron": Constant(2.0, 3.0)}
    families[better_inside] = Constant(1.0, 5.0)
    monkeypatch.setattr(qm9, "RIDGES", [families["ridge"]])
    monkeypatch.setattr(qm9, "PERCEPTRONS", [families["perceptron"]])
    ridge, perceptron, chosen = qm9.scalar_errors(np.arange(100.0)[:, None], y)
    assert {ridge, perceptron} == {3.0, 5.0}
    assert chosen == 5.0
