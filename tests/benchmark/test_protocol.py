"""The comparison: splits, failures, leakage, resuming."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedKFold

from skmol3d import ECFPFeaturizer
from skmol3d.benchmark import protocol
from skmol3d.benchmark.heads import fit_head
from skmol3d.benchmark.protocol import evaluate, scaffold, unique_smiles
from skmol3d.datasets import Task


class Lookup(TransformerMixin, BaseEstimator):
    """A featurizer that knows its rows beforehand and counts its calls on the class."""

    seen: list[list[str]] = []  # noqa: RUF012

    def __init__(self, table=None, errors="raise"):
        self.table = table
        self.errors = errors

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        Lookup.seen.append(list(X))
        assert self.errors == "nan"
        return np.array([self.table.get(smiles, [np.nan, np.nan]) for smiles in X])


def test_given_split_scores_the_test_part(panel):
    tasks, X = panel
    results = evaluate({"m": X}, tasks, heads=["linear"])
    first, second = results.to_dict("records")
    rows = X[30:]
    train, test = tasks[1].split == "train", tasks[1].split == "test"
    by_hand = fit_head("linear", "cls", rows[train], tasks[1].y[train], rows[test])
    assert second["score"] == pytest.approx(roc_auc_score(tasks[1].y[test], by_hand.prediction))
    assert (second["metric"], second["n_train"], second["n_test"]) == ("AUROC", 45, 15)
    assert (first["metric"], first["unit"], first["n_dropped"]) == ("MAE", "eV", 0)
    assert first["chosen"].startswith("alpha=")


def test_folds_are_repeated_k_fold_and_alike_for_all_methods(panel, monkeypatch):
    tasks, X = panel
    seen = []
    monkeypatch.setattr(
        protocol,
        "fit_head",
        lambda head, kind, X, y, X_test, *_: seen.append(y) or fit_head(head, kind, X, y, X_test),
    )
    X = X[:60]
    results = evaluate({"a": X, "b": X[:, ::-1].copy()}, tasks[:1], heads=["linear"], cv=(3, 2), seed=5)
    expected = [
        tasks[0].y[train]
        for train, _ in RepeatedKFold(n_splits=3, n_repeats=2, random_state=5).split(tasks[0].y)
    ]
    for got, want in zip(seen, expected + expected, strict=True):
        np.testing.assert_array_equal(got, want)
    assert results[["repeat", "fold"]].to_numpy().tolist() == [[r, f] for r in (0, 1) for f in (0, 1, 2)] * 2
    # The columns of b are those of a in reverse: ridge does not care.
    scores = results.groupby("method")["score"].apply(list)
    np.testing.assert_allclose(scores["a"], scores["b"], rtol=1e-5)


def test_each_molecule_is_featurized_once_per_method(panel):
    tasks, X = panel
    Lookup.seen.clear()
    table = {smiles: X[i, :2] for i, smiles in enumerate(unique_smiles(tasks))}
    evaluate({"m": Lookup(table)}, tasks, heads=["linear"])
    assert Lookup.seen == [unique_smiles(tasks)]
    assert len(Lookup.seen[0]) == 90


def test_a_failure_is_dropped_for_all_methods(panel):
    tasks, X = panel
    broken = X.copy()
    broken[[0, 40]] = np.nan  # 0 is in the first task only, 40 in both
    broken[7, 3] = np.nan  # a missing value, not a failure
    results = evaluate({"whole": X, "broken": broken}, tasks, heads=["linear"]).set_index(["task", "method"])
    assert results["n_dropped"].to_dict() == {
        ("first", "whole"): 2,
        ("first", "broken"): 2,
        ("second", "whole"): 1,
        ("second", "broken"): 1,
    }
    assert results["n_failed"].tolist() == [0, 2, 0, 1]
    assert (results["n_train"] + results["n_test"]).tolist() == [58, 58, 59, 59]
    kept = np.delete(np.arange(60), [0, 40])
    alone = replace(
        tasks[0], smiles=[tasks[0].smiles[i] for i in kept], y=tasks[0].y[kept], split=tasks[0].split[kept]
    )
    assert (
        results.loc[("first", "whole"), "score"] == evaluate({"m": X[kept]}, [alone], ["linear"])["score"][0]
    )


@pytest.mark.slow
@pytest.mark.parametrize("head", ["linear", "forest"])
def test_nothing_of_the_test_targets_leaks(panel, head, monkeypatch):
    tasks, X = panel
    fits = []

    def record(*args):
        fits.append(fit_head(*args))
        return fits[-1]

    monkeypatch.setattr(protocol, "fit_head", record)
    spoiled = []
    for task in tasks:
        y = task.y.copy()
        y[task.split == "test"] = np.random.default_rng(1).permutation(y[task.split == "test"])
        spoiled.append(replace(task, y=y))
    clean = evaluate({"m": X}, tasks, [head])
    dirty = evaluate({"m": X}, spoiled, [head])
    for before, after in zip(fits[:2], fits[2:], strict=True):
        np.testing.assert_array_equal(before.prediction, after.prediction)
    assert clean["chosen"].tolist() == dirty["chosen"].tolist()
    assert clean["inner_score"].tolist() == dirty["inner_score"].tolist()
    assert (clean["score"] != dirty["score"]).all()


def test_interrupted_run_continues(panel, tmp_path, monkeypatch):
    tasks, X = panel
    whole = evaluate({"m": X}, tasks, heads=["linear"], out=tmp_path / "whole")
    calls = []

    def fail_on_second(*args):
        calls.append(args[1])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit_head(*args)

    monkeypatch.setattr(protocol, "fit_head", fail_on_second)
    with pytest.raises(KeyboardInterrupt):
        evaluate({"m": X}, tasks, heads=["linear"], out=tmp_path / "out")
    resumed = evaluate({"m": X}, tasks, heads=["linear"], out=tmp_path / "out")
    assert calls == ["reg", "cls", "cls"]
    pd.testing.assert_frame_equal(resumed.drop(columns="seconds"), whole.drop(columns="seconds"))
    assert len(list((tmp_path / "out" / "results").iterdir())) == 2


def test_a_second_run_computes_what_is_missing(panel, tmp_path, monkeypatch):
    tasks, X = panel
    evaluate({"m": X}, tasks, heads=["linear"], out=tmp_path)
    calls = []
    monkeypatch.setattr(protocol, "fit_head", lambda *args: calls.append(args[:2]) or fit_head(*args))
    evaluate({"m": X}, tasks, heads=["linear", "kernel"], out=tmp_path)
    assert calls == [("kernel", "reg"), ("kernel", "cls")]
    calls.clear()
    both = evaluate({"n": X[:, :3], "m": X}, tasks, heads=["linear", "kernel"], out=tmp_path)
    assert calls == [(head, kind) for kind in ("reg", "cls") for head in ("linear", "kernel")]
    assert list(both) == list(evaluate({"m": X}, tasks, heads=["kernel"], out=tmp_path))
    # A method that fails on a molecule changes the rows of the first task, for a while.
    broken = X.copy()
    broken[0] = np.nan
    evaluate({"m": X, "broken": broken}, tasks, heads=["linear"], out=tmp_path)
    calls.clear()
    evaluate({"m": X}, tasks, heads=["linear"], out=tmp_path)
    assert calls == []


def test_predictions_are_kept(panel, tmp_path):
    tasks, X = panel
    tasks = [replace(task, name=f"{task.name}, nM/L") for task in tasks]
    results = evaluate({"m:a/b@c=1": X}, tasks, heads=["linear"], cv=(3, 1), out=tmp_path)
    for name, part in results.groupby("predictions"):
        table = pd.read_csv(tmp_path / "predictions" / name)
        task = next(task for task in tasks if task.name == part["task"].iloc[0])
        assert sorted(table["smiles"]) == sorted(task.smiles)
        np.testing.assert_allclose(table["y"], pd.Series(task.y, task.smiles)[table["smiles"]])
        if task.kind == "reg":
            errors = (table["prediction"] - table["y"]).abs().groupby(table["fold"]).mean()
            np.testing.assert_allclose(errors, part["score"])


@pytest.mark.parametrize("change", ["features", "target", "split", "seed", "heads"])
def test_stored_results_of_other_inputs_are_not_taken(panel, tmp_path, change, monkeypatch):
    (task, _), X = panel
    X = X[:60]
    evaluate({"m": X}, [task], heads=["linear"], out=tmp_path)
    calls = []
    monkeypatch.setattr(protocol, "fit_head", lambda *args: calls.append(args[0]) or fit_head(*args))
    evaluate({"m": X}, [task], heads=["linear"], out=tmp_path)
    assert calls == []
    settings = {"heads": ["linear"], "seed": 0}
    if change == "features":
        X = X + np.eye(60, 12, dtype=np.float32)
    elif change == "target":
        task = replace(task, y=task.y + 1)
    elif change == "split":
        task = replace(task, split=task.split[::-1])
    elif change == "seed":
        settings["seed"] = 1
    else:
        settings["heads"] = ["forest"]
    evaluate({"m": X}, [task], out=tmp_path, **settings)
    assert calls == settings["heads"]


def test_what_a_task_says_of_itself_is_not_taken_from_stored_results(tmp_path):
    smiles = ["C" * n + end for n in range(1, 11) for end in ("O", "N")]
    task = Task(name="7.4", kind="reg", unit="nM", smiles=smiles, y=np.arange(20) % 2.0)
    methods, settings = {"ecfp": ECFPFeaturizer(n_bits=32)}, {"heads": ["default"], "cv": (2, 1)}

    def run(**changes):
        return evaluate(methods, [replace(task, **changes)], out=tmp_path, **settings)

    first = run()
    assert run()[["task", "unit", "metric"]].values.tolist() == [["7.4", "nM", "MAE"]] * 2
    assert run(unit="µM")["unit"].tolist() == ["µM"] * 2
    np.testing.assert_allclose(run(unit="µM")["score"], first["score"])
    assert run(kind="cls")["metric"].tolist() == ["AUROC"] * 2


@pytest.mark.parametrize("folds", ["random", "scaffold"])
@pytest.mark.parametrize("kind", ["reg", "cls"])
def test_spellings_and_salts_of_a_molecule_are_in_one_part(folds, kind, tmp_path):
    once = ["C" * n + "(N)O" for n in range(2, 12)] + ["c1ccccc1" + "C" * n + "N" for n in range(1, 11)]
    again = ["OC(N)" + "C" * n for n in range(1, 11)] + [s + ".Cl" for s in once[10:]]
    smiles = [*once, *again]
    task = Task(name="task", kind=kind, unit="", smiles=smiles, y=np.arange(40) // 3 % 2.0)
    evaluate({"ecfp": ECFPFeaturizer(n_bits=32)}, [task], ["default"], (3, 2), out=tmp_path, folds=folds)
    (file,) = (tmp_path / "predictions").glob("*.csv")
    predictions = pd.read_csv(file)
    predictions["molecule"] = predictions["smiles"].map({s: i % 20 for i, s in enumerate(smiles)})
    for _, repeat in predictions.groupby("repeat"):
        assert (repeat.groupby("molecule")["fold"].nunique() == 1).all()
        assert sorted(repeat["smiles"]) == sorted(smiles)


def test_workers_change_nothing(panel):
    tasks, X = panel
    one = evaluate({"m": X, "half": X[:, :6]}, tasks, n_jobs=1, heads=["linear"])
    two = evaluate({"m": X, "half": X[:, :6]}, tasks, n_jobs=2, heads=["linear"])
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), two.drop(columns="seconds"))


def test_clear_errors(panel):
    (first, second), X = panel
    with pytest.raises(ValueError, match=r"unknown heads \['svm'\]"):
        evaluate({"m": X}, [first], heads=["svm"])
    with pytest.raises(ValueError, match=r"method 'm' gave features of shape \(3, 12\).*60 distinct SMILES"):
        evaluate({"m": X[:3]}, [first])
    with pytest.raises(ValueError, match="names must be distinct"):
        evaluate({"m": X}, [first, first])
    with pytest.raises(ValueError, match="task 'second': a training or test part holds one class only"):
        evaluate({"m": X[:60]}, [replace(second, y=(second.split == "test").astype(float))])


@pytest.mark.parametrize("kind", ["reg", "cls"])
def test_scaffold_folds_never_meet_a_scaffold_again(kind, tmp_path):
    rings = ["c1ccccc1", "C1CCCCC1", "c1ccncc1", "C1CCNCC1", "c1ccsc1", "C1CC1"]
    smiles = [ring + tail for ring in rings for tail in ("C", "CC", "CCC", "O")] + ["CCO", "CCN"]
    y = np.arange(len(smiles)) % 2 if kind == "cls" else np.arange(len(smiles), dtype=float)
    task = Task("t", kind, smiles, y.astype(float))
    results = evaluate(
        {"ecfp": ECFPFeaturizer(n_bits=64)}, [task], ["default"], (3, 2), out=tmp_path, folds="scaffold"
    )
    assert len(results) == 6
    tested = pd.read_csv(tmp_path / "predictions" / results["predictions"][0])
    for _, repeat in tested.groupby("repeat"):
        assert sorted(repeat["smiles"]) == sorted(smiles)
        folds = repeat.groupby(repeat["smiles"].map(scaffold))["fold"].nunique()
        assert set(folds) == {1}
        assert len(folds) == 8  # molecules without a ring are their own
    first, second = (repeat.set_index("smiles")["fold"] for _, repeat in tested.groupby("repeat"))
    assert (first != second[first.index]).any()
    with pytest.raises(ValueError, match="folds must be 'random' or 'scaffold', got 'butina'"):
        evaluate({}, [task], folds="butina")
    given = replace(task, split=np.array(["train", "test"] * 13))
    with pytest.raises(
        ValueError, match=r"folds='scaffold': these tasks have splits of their own; .* --cv KxR"
    ):
        evaluate({}, [given], folds="scaffold")
    sizes = results.groupby(["repeat", "fold"])["n_test"].first()
    assert sizes.max() - sizes.min() <= 4  # a scaffold has four


def test_a_task_without_a_split_has_five_folds_beside_one_that_has(panel):
    (first, second), X = panel
    results = evaluate({"m": X}, [first, replace(second, split=None)], ["default"])
    assert results.groupby("task")["fold"].nunique().to_dict() == {"first": 1, "second": 5}
    alone = evaluate({"m": X[30:]}, [replace(second, split=None)], ["default"], cv=(5, 1))
    assert results["score"].tolist()[1:] == alone["score"].tolist()


def test_few_actives_have_scores_or_a_reason(panel):
    (_, task), X = panel
    task, X = replace(task, split=None), X[30:]
    few = replace(task, y=(np.arange(60) % 12 == 0).astype(float))  # five
    results = evaluate({"m": X}, [few], ["linear"])
    assert results[["score", "inner_score"]].notna().all(axis=None)
    two = replace(task, y=(np.arange(60) % 30 == 0).astype(float))
    with pytest.raises(
        ValueError, match=r"task 'second': 2 molecules of class 1, too few for 5 folds; .*--cv"
    ):
        evaluate({"m": X}, [two], ["linear"])
    with pytest.raises(ValueError, match="task 'second', head linear: a training part has 1 active of 30"):
        evaluate({"m": X}, [two], ["linear"], cv=(2, 1))
    assert evaluate({"m": X}, [two], ["kernel"], cv=(2, 1))["inner_score"].notna().all()


def test_two_scaffolds_have_two_folds():
    smiles = [ring + "C" * n for ring in ("c1ccccc1", "C1CCCCC1") for n in range(1, 12)]
    task = Task("t", "cls", smiles, (np.arange(22) % 3 == 0).astype(float))
    methods = {"ecfp": ECFPFeaturizer(n_bits=64)}
    results = evaluate(methods, [task], ["linear"], (2, 1), folds="scaffold")
    assert results["n_test"].tolist() == [11, 11]
