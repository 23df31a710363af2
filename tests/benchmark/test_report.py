"""Tables and statistics on a table made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, ttest_1samp
from scipy.stats import t as student

from skmol3d.benchmark.report import (
    best_head,
    better_of,
    mean_ranks,
    paired,
    render,
    resampled,
    score_table,
)


def test_heads_by_test_and_by_inner_score(results):
    assert set(best_head(results, "test")["head"]) == {"forest"}
    assert set(best_head(results, "inner")["head"]) == {"linear"}
    with pytest.raises(ValueError, match="by must be"):
        best_head(results, "luck")


def test_inner_choice_is_per_split_and_test_choice_per_task():
    common = {"task": "t", "kind": "reg", "method": "m", "repeat": 0}
    rows = [
        {"head": "linear", "fold": 0, "score": 1.0, "inner_score": 1.0},
        {"head": "forest", "fold": 0, "score": 3.0, "inner_score": 2.0},
        {"head": "linear", "fold": 1, "score": 5.0, "inner_score": 2.0},
        {"head": "forest", "fold": 1, "score": 2.0, "inner_score": 1.0},
    ]
    frame = pd.DataFrame([common | row for row in rows])
    assert best_head(frame, "inner")["score"].tolist() == [1.0, 2.0]
    assert best_head(frame, "test")["score"].tolist() == [3.0, 2.0]


def test_several_heads_are_not_averaged_silently(results):
    with pytest.raises(ValueError, match="several heads per split"):
        score_table(results)


def test_wins_are_counted(results):
    table = score_table(best_head(results, "test"))
    pairs = paired(table).set_index(["method", "rival"])[["wins", "losses", "ties"]]
    assert pairs.loc[("rem3di", "ecfp")].tolist() == [3, 1, 0]
    assert pairs.loc[("ecfp", "rem3di")].tolist() == [1, 3, 0]
    assert pairs.loc[("rem3di", "ecfp-count")].tolist() == [3, 0, 1]
    both = better_of(table, ["ecfp", "ecfp-count"], "best")["best"]
    assert both.tolist() == [2.0, 0.4, 0.9, 0.6]


def test_ranks_share_ties(results):
    ranks = mean_ranks(score_table(best_head(results, "test")))
    assert ranks.to_dict() == {
        "rem3di": (1 + 2 + 1.5 + 1) / 4,
        "ecfp": (2 + 1 + 3 + 2) / 4,
        "ecfp-count": (3 + 3 + 1.5 + 3) / 4,
    }


def test_wilcoxon_knows_no_units_and_agrees_with_the_sign_test_at_its_extreme():
    index = pd.MultiIndex.from_tuples([(f"t{i}", "reg") for i in range(8)], names=["task", "kind"])
    table = pd.DataFrame(
        {"a": np.arange(1.0, 9), "b": np.arange(1.0, 9) * np.linspace(1.1, 1.9, 8)}, index=index
    )
    p = paired(table).set_index(["method", "rival"])["p"]
    # All eight differences have one sign: both exact tests give 2 / 2**8.
    assert p["a", "b"] == pytest.approx(binomtest(8, 8).pvalue)
    rescaled = table.mul(10.0 ** np.arange(8), axis=0)
    assert paired(rescaled)["p"].tolist() == pytest.approx(paired(table)["p"].tolist())
    same = paired(table.assign(b=table["a"]))
    assert same["ties"].tolist() == [8, 8]
    assert same["p"].isna().all()


def test_rendered_table(results):
    text = render(results, "test")
    assert "| t1 | MAE (eV) | 80/20 | 0 | **1.000** f | 2.000 f | 3.000 f |" in text
    assert "| t4 | AUROC | 80/20 | 0 | **0.700** f | 0.600 f | 0.500 f |" in text
    assert "Heads: forest (f), linear (l)." in text
    assert "best test score (optimistic" in text
    assert "chosen by its score inside the training part" in render(results, "inner")


def test_wins_are_told_for_each_head_and_for_the_heads_shown(results):
    # Under the linear head ecfp turns the tables on t1.
    ours = (results["method"] == "rem3di") & (results["head"] == "linear") & (results["task"] == "t1")
    results.loc[ours, ["score", "inner_score"]] = [5.0, 2.5]
    text = render(results)
    assert (
        "| pair | tasks by | forest: wins/losses/ties | Wilcoxon p | linear: wins/losses/ties | Wilcoxon p | "
        "heads as shown: wins/losses/ties | Wilcoxon p |"
    ) in text
    # By inner score ours is a forest on t1 (1.0 against 3.0 of ecfp's linear head), linear elsewhere.
    assert "| t1 | MAE (eV) | 80/20 | 0 | **1.000** f | 3.000 l | 4.500 l |" in text
    assert "| rem3di – ecfp | MAE | 1/1/0 | 1 | 0/2/0 | 0.5 | 1/1/0 | 1 |" in text
    assert "| rem3di – better of ecfp, ecfp-count | AUROC | 1/0/1 | – | 1/0/1 | – | 1/0/1 | – |" in text
    alone = render(results[results["head"] == "forest"])
    assert "Head: forest." in alone
    assert "| rem3di – better of ecfp, ecfp-count | MAE | 1/1/0 | 1 |" in alone
    assert "| **1.000** | 2.000 | 3.000 |" in alone
    fingerprints = render(results[results["method"] != "rem3di"])
    assert "| ecfp – ecfp-count | MAE |" in fingerprints
    assert "better of" not in fingerprints  # nothing is set against itself


def test_seeds_of_conformers_are_an_error_bar(results):
    again = results[results["method"] == "rem3di"]
    again = again.assign(method="rem3di@random_state=1", score=again["score"] + 0.2)
    text = render(pd.concat([results, again], ignore_index=True), "test")
    assert "over the seeds of conformers: rem3di, rem3di@random_state=1." in text
    assert "| t1 | MAE | 1.100 ± 0.141 |" in text
    assert "over the seeds" not in render(results, "test")


def test_rendered_deviation_over_splits(results):
    again = results.assign(fold=1, score=results["score"] + 0.2)
    assert "**1.100 ± 0.141** f" in render(pd.concat([results, again], ignore_index=True), "test")


def splits_of(difference, kind="reg", n_train=80, n_test=20):
    """Results of two methods whose scores differ by ``difference`` [splits]."""
    rng = np.random.default_rng(1)
    rows = []
    for fold, value in enumerate(difference):
        base = 1.0 + rng.normal()
        for method, score in (("rem3di", base + value), ("ecfp", base)):
            rows.append(("t", kind, "eV", method, 0, 0, "linear", 0, fold, score, 0.0, n_train, n_test, 0))
    names = (
        "task kind unit method n_failed n_dropped head repeat fold score inner_score n_train n_test n_seen"
    )
    return pd.DataFrame(rows, columns=names.split())


def test_resampled_t_test():
    """With next to no test molecules it is the paired t-test; with more of them it is more careful."""
    difference = np.array([-0.3, -0.1, -0.25, -0.2, 0.05])
    plain = ttest_1samp(difference, 0.0).pvalue
    found = resampled(splits_of(difference, n_train=10**9, n_test=1), "rem3di", "ecfp").loc["t"]
    assert found["p"] == pytest.approx(plain, rel=1e-6)
    assert found["difference"] == pytest.approx(difference.mean())
    assert found["wins"]
    corrected = resampled(splits_of(difference), "rem3di", "ecfp").loc["t"]
    # 5-fold: the variance of the mean grows by the factor 1 + 5 / 4.
    statistic = ttest_1samp(difference, 0.0).statistic / 1.5
    assert corrected["p"] == pytest.approx(2 * student.sf(abs(statistic), 4))
    assert not resampled(splits_of(difference, kind="cls"), "rem3di", "ecfp").loc["t", "wins"]
    assert np.isnan(resampled(splits_of(difference[:1]), "rem3di", "ecfp").loc["t", "p"])
    assert resampled(splits_of(np.zeros(3)), "rem3di", "ecfp").loc["t", "p"] == 1.0


def test_significant_differences_are_counted():
    text = render(splits_of(np.array([-0.3, -0.31, -0.29])))
    assert "| rem3di – ecfp | MAE | 1 | 0 | 0 |" in text
    assert "| rem3di – ecfp | MAE | 0 | 0 | 1 |" in render(splits_of(np.array([-0.3, 0.3, -0.2])))
    assert "resampled" not in render(splits_of(np.array([-0.3])))
