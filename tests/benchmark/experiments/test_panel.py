"""The tables of the documentation are those of the committed results."""

from pathlib import Path

import pandas as pd
import pytest

from skmol3d.benchmark.experiments import panel
from skmol3d.benchmark.experiments.variants import TREES

ROOT = Path(__file__).parents[3]


def line(task, method, head, score, inner, kind="reg", dropped=0):
    return {
        **dict.fromkeys(panel.KEPT, 0),
        **{"task": task, "method": method, "head": head, "kind": kind, "score": score},
        **{"inner_score": inner, "n_dropped": dropped},
    }


@pytest.fixture
def results():
    """Two tasks: REM3DI wins the first under ridge alone, where it is chosen, and the second everywhere."""
    rows = []
    for task, kind, ours, others in (("a", "reg", 1.0, 2.0), ("b", "cls", 0.9, 0.8)):
        for method in (*panel.METHODS, panel.BOTH):
            for k, head in enumerate(panel.HEADS):
                score = ours if method == "rem3di" else others
                if task == "a" and head != "linear" and method == "rem3di":
                    score = 3.0
                inner = k if kind == "reg" else -k
                rows.append(line(task, method, head, score, inner, kind))
    return pd.DataFrame(rows)


@pytest.fixture
def tuned():
    """Ahead of the frozen row on one task, of both on the other."""
    lines = {"task": ["b", "a"], "metric": ["AUROC", "MAE"], "n_train": [1000, 20], "frozen": [0.85, 1.5]}
    return pd.DataFrame(lines | {"fine_tuned": [0.86, 2.5], "share": [0.5, 0.25], "seconds": [1.0, 2.0]})


@pytest.mark.parametrize("name", ["docs/benchmark.md", "docs/systems/finetuning.md", "README.md"])
def test_documents_hold_what_the_results_say(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text.count("<!-- table:") == {"docs/benchmark.md": 7, "docs/systems/finetuning.md": 3}.get(name, 2)
    assert panel.fill(text, *panel.read()) == text, (
        f"python -m skmol3d.benchmark.experiments.panel --fill {name}"
    )


def test_wins_are_counted_by_kind_head_and_rival(results):
    made = panel.wins(results).splitlines()[2:]
    assert made[0] == "| ridge against ridge | 1/1, 1/1 | 1/1, 1/1 | 1/1, 1/1 | 1/1, 1/1 |"
    assert made[1].startswith("| forest against forest | 0/1, 1/1 ")
    assert made[3].startswith("| head of the best inner score | 1/1, 1/1 ")


def test_a_rival_is_beaten_where_both_ecfps_are_and_missing_results_do_not_count(results):
    results.loc[(results["method"] == "ecfp-count") & (results["task"] == "a"), "score"] = 0.5
    results = results[(results["method"] != panel.BOTH) | (results["task"] == "b")]
    made = panel.wins(results).splitlines()[2]
    assert made == "| ridge against ridge | 0/1, 1/1 | 1/1, 1/1 | 1/1, 1/1 | 1/1 |"


def test_the_head_of_the_best_inner_score_is_bold_and_gaps_are_shown(results):
    results = results[(results["method"] != "rdkit2d") | (results["head"] == "kernel")]
    row = panel.scores(results).splitlines()[2]
    assert row.startswith("| a | **1.000** / 3.000 / 3.000 | **2.000** / 2.000 / 2.000 |")
    assert row.endswith("| – / – / 2.000 |")


def test_linear_models_stand_side_by_side_and_apart_from_the_heads_that_are_compared(results):
    both = ("rem3di", "ecfp", "ecfp-count")
    more = [
        line(task, method, head, score + (method != "rem3di") + (method == "ecfp-count"), -9, kind)
        for task, kind in (("a", "reg"), ("b", "cls"))
        for method in both
        for head, score in (("unscaled", 0.2), ("default", 0.3))
    ]
    every = pd.concat([results, pd.DataFrame(more)])
    made = panel.ridges(every).splitlines()
    assert made[2] == "| a | 1.000 / 0.200 / 0.300 | 2.000 / 1.200 / 1.300 | 2.000 / 2.200 / 2.300 |"
    assert made[-3] == "| no scaler, penalty searched | 1/1, 0/1 | 1/1, 0/1 | 1/1, 0/1 |"
    assert made[-1].endswith(
        " against the better of both searches on ECFP | 1/1, 0/1 | 1/1, 0/1 | 1/1, 0/1 |"
    )
    assert panel.scores(every) == panel.scores(results)
    assert panel.wins(every) == panel.wins(results)


def test_later_runs_replace_earlier_ones_but_not_with_molecules_that_others_dropped(tmp_path):
    runs = {
        "one": [line("a", "ecfp", "linear", 1.0, 0), line("a", "rem3di", "linear", 9.0, 0)],
        "two": [line("a", "ecfp", "linear", 2.0, 0, dropped=3)],
        "three": [line("a", "ecfp", "linear", 3.0, 0), line("a", "rem3di", "linear", 4.0, 0)],
    }
    for name, rows in runs.items():
        (tmp_path / name / "results").mkdir(parents=True)
        pd.DataFrame(rows).to_csv(tmp_path / name / "results" / "x.csv", index=False)
    found = panel.collect([tmp_path / name for name in runs])
    assert found.set_index("method")["score"].to_dict() == {"ecfp": 2.0, "rem3di": 4.0}
    known = pd.concat([found, found.head(1).assign(method="words2d", score=5.0)])
    added = panel.collect([tmp_path / "one"], [known])
    assert added.set_index("method")["score"].to_dict() == {"ecfp": 2.0, "rem3di": 9.0, "words2d": 5.0}
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty: no results"):
        panel.collect([tmp_path / "empty"])


def test_fine_tuning_is_counted_against_the_frozen_row_and_the_better_ecfp(results, tuned):
    results.loc[(results["method"] == "ecfp") & (results["task"] == "b"), "score"] = 0.95
    made = panel.finetuned(results, tuned).splitlines()
    assert made[2] == "| a | MAE | 20 | 2.000 | **1.500** | 2.500 | 0.25 | 2 |"
    assert made[3] == "| b | AUROC | 1,000 | **0.950** | 0.850 | 0.860 | 0.50 | 1 |"
    said = "Fine-tuning is ahead of the frozen row on 1 of 2 tasks, and of the better ECFP on 0."
    assert made[-1] == said


def test_unknown_tables_are_refused(results, tuned):
    with pytest.raises(
        ValueError,
        match=r"no table 'x'; there are scores, wins, ridges, .*finetuned, scratch, networks, excerpt",
    ):
        panel.fill("<!-- table: x -->\n<!-- end -->", results, tuned, tuned, tuned, results)


def test_claims_count_regression_tasks_under_each_head(results):
    rows = [("default", 1.0, 2.0), ("unscaled", 3.0, 2.0)]
    linear = [
        line("a", method, head, ours if method == "rem3di" else theirs, 0)
        for head, ours, theirs in rows
        for method in ("rem3di", "ecfp", "ecfp-count")
    ]
    said = panel.claims(
        pd.concat([results, pd.DataFrame(linear)]), pd.DataFrame([line("a", TREES, "forest", 1.5, 0)])
    )
    assert said.startswith("Of 1 regression tasks")
    assert "on 1 with `Ridge()`" in said
    assert "(0 with the penalty searched for both, 1 with a scaler, too), on 0 with `KernelRidgeCV()`" in said
    assert "on 0 with a random forest (1 with" in said
    assert said.endswith("each with its best head by inner score, on 1.")


def test_random_weights_stand_next_to_pretrained_ones(tuned):
    scratch = pd.DataFrame(
        {
            "task": ["a", "b"],
            "metric": ["MAE", "AUROC"],
            "n_train": [20, 1000],
            "frozen": [3.0, 0.8],
            "fine_tuned": [2.0, 0.9],
        }
    )
    made = panel.from_scratch(tuned, scratch).splitlines()
    assert made[2] == "| a | MAE | 20 | **1.500** | 2.500 | 3.000 | 2.000 |"
    assert made[3] == "| b | AUROC | 1,000 | 0.850 | 0.860 | 0.800 | **0.900** |"
    assert "ahead on 0 of 2 tasks; its errors of regression are 1.25 times those of" in made[5]


def test_networks_on_fingerprints_stand_next_to_rem3di(tuned):
    networks = pd.DataFrame(
        {
            "task": ["a", "b"],
            "metric": ["MAE", "AUROC"],
            "frozen": [3.0, 0.8],
            "fine_tuned": [4.0, 0.83],
            "share": [0.5, 0.25],
        }
    )
    made = panel.on_fingerprints(tuned, networks).splitlines()
    assert made[2] == "| a | MAE | 3.000 | 4.000 | 0.50 | **2.500** |"
    assert made[3] == "| b | AUROC | 0.800 | 0.830 | 0.25 | **0.860** |"
    assert "ahead of ridge or kernel on 1 of 2 tasks. REM3DI, fine-tuned, is ahead of them on 2;" in made[5]
    assert "0.62 times theirs" in made[5]
