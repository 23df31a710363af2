"""Tables of REM3DI's other rows."""

import pandas as pd
import pytest

from skmol3d.benchmark.experiments import variants
from skmol3d.benchmark.experiments.panel import KEPT

KINDS = {"a": "reg", "b": "reg", "c": "cls"}


def lines(method, head, **scores):
    """One line for each task that has a score."""
    return [
        dict.fromkeys(KEPT, 0)
        | {"task": task, "kind": KINDS[task], "method": method, "head": head, "score": score}
        for task, score in scores.items()
    ]


@pytest.fixture
def make():
    return lambda *parts: pd.DataFrame([row for part in parts for row in part])


def test_conformers_stand_side_by_side_and_changes_are_of_regression(make):
    seed, five = list(variants.CONFORMERS)[1:]
    results = make(*(lines("rem3di", head, a=1.0, b=2.0, c=0.9) for head in variants.HEADS))
    results = pd.concat([results, make(lines("rem3di", "forest", a=9.0), lines("ecfp", "kernel", a=9.0))])
    others = make(
        lines(seed, "unscaled", a=1.1, b=1.8, c=0.5),
        lines(seed, "kernel", a=1.0, b=2.0, c=0.5),
        lines(five, "unscaled", a=0.5),
        lines(five, "kernel", a=1.5),
    )
    made = variants.conformers(results, others).splitlines()
    assert made[2] == "| a | 1.000 / 1.000 | 1.100 / 1.000 | 0.500 / 1.500 |"
    assert made[3] == "| b | 2.000 / 2.000 | 1.800 / 2.000 | – |"
    assert made[-2] == "| `unscaled` | 10.0% of it | -50.0% | 1/1 |"
    assert made[-1] == "| `kernel` | 0.0% of it | +50.0% | 0/1 |"


def test_forests_are_compared_on_tasks_that_have_both_rows(make):
    results = make(
        lines("rem3di", "forest", a=3.0, b=1.0, c=0.9),
        lines("ecfp", "forest", a=2.0, b=2.0, c=0.8),
        lines("ecfp-count", "forest", a=2.5, b=1.5, c=0.85),
        lines("rdkit2d", "forest", a=0.1, b=0.1, c=1.0),
    )
    made = variants.trees(results, make(lines(variants.TREES, "forest", a=1.9, c=0.82))).splitlines()
    assert made[2:4] == ["| a | 3.000 | 1.900 | 2.000 | 2.500 |", "| c | 0.900 | 0.820 | 0.800 | 0.850 |"]
    assert [line.split(" | ")[1].strip(" |") for line in made[-3:]] == ["0/1, 1/1", "1/1, 0/1", "1/1, 0/1"]


def test_blocks_are_relative_to_counts_alone(make):
    counted, surface, network, _ = variants.BLOCKS
    results = make(*(lines("rem3di", head, a=1.0, b=3.0, c=0.9) for head in variants.HEADS))
    others = make(
        *(lines(counted, head, a=2.0, b=2.0, c=0.8) for head in variants.HEADS),
        *(lines(surface, head, a=1.0, b=1.0) for head in variants.HEADS),
        *(lines(network, head, a=4.0) for head in variants.HEADS),
    )
    made = variants.blocks(results, others).splitlines()
    assert made[2] == "| a | 2.000 / 2.000 | 1.000 / 1.000 | 4.000 / 4.000 | 1.000 / 1.000 |"
    assert made[-1] == "| `kernel` | 0.500 (2/2) | 2.000 (0/1) | 0.866 (1/2) |"


def test_what_training_is_worth_is_told_of_tasks_that_were_tried(make):
    results = make(*(lines("rem3di", head, a=1.0, b=3.0, c=0.9) for head in ("linear", "forest", "kernel")))
    others = make(*(lines(variants.UNTRAINED, head, a=2.0, c=0.8) for head in ("linear", "kernel")))
    made = variants.training(results, others).splitlines()
    assert made[2:4] == ["| a | 2.000 / 2.000 | 1.000 / 1.000 |", "| c | 0.800 / 0.800 | 0.900 / 0.900 |"]
    assert made[-1] == "| `kernel` | 0.500 (1/1) |"
