"""A chemist's own table, with everything that real tables have."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from skmol3d.datasets import assay, read_assay
from skmol3d.structures import StructureError

CHAIN = [f"{'C' * n}O" for n in range(1, 13)]


def written(tmp_path, rows, columns=("Compound", "SMILES", "pKi"), name="assay.csv"):
    table = pd.DataFrame([(f"c{i}", *row) for i, row in enumerate(rows)], columns=columns)
    path = tmp_path / name
    table.to_parquet(path) if name.endswith("parquet") else table.to_csv(path, index=False)
    return path


def test_salts_and_repeats_are_one_molecule_and_broken_rows_are_named(tmp_path):
    rows = [(smiles, 5.0) for smiles in CHAIN]
    rows += [("CCN.Cl", 6.0), ("NCC", "7"), ("c1ccccc", 4.0), ("", 3.0), ("CCC", "n.d."), ("CCCC", "")]
    task, left_out = read_assay(written(tmp_path, rows), "pKi")
    assert (task.name, task.kind, task.split) == ("pKi", "reg", None)
    found = dict(zip(task.smiles, task.y, strict=True))
    assert found == {**dict.fromkeys(CHAIN, 5.0), "CCN": 6.5}
    assert left_out["index"].tolist() == [14, 15, 16, 17]
    assert left_out["reason"].tolist() == [
        "not a valid SMILES: unclosed ring",
        "empty string",
        "pKi is no number: 'n.d.'",
        "pKi is missing",
    ]


def test_zeros_and_ones_are_classes_and_molecules_of_both_are_left_out(tmp_path):
    rows = [(smiles, i % 2) for i, smiles in enumerate(CHAIN)] + [("CCN", 1), ("NCC", 0), ("CCN", 1)]
    path = written(tmp_path, rows, name="assay.parquet")
    task, left_out = read_assay(path, "pKi")
    assert task.kind == "cls"
    assert dict(zip(task.smiles, task.y, strict=True)) == {s: i % 2 for i, s in enumerate(CHAIN)}
    assert left_out.to_numpy().tolist() == [
        [12, "'CCN'", "of both classes"],
        [13, "'NCC'", "of both classes"],
        [14, "'CCN'", "of both classes"],
    ]


def test_rows_that_are_no_rows_cost_themselves_alone(tmp_path):
    rows = "".join(f"{smiles},{i}\n" for i, smiles in enumerate(CHAIN))
    path = tmp_path / "assay.csv"
    path.write_text(f"smiles,y\nCCN\n{rows}CCO,7,5\n")
    task, left_out = read_assay(path, "y")
    assert task.smiles == CHAIN
    assert left_out["index"].tolist() == [0, 13]
    assert (left_out["reason"].str.len() > 5).all()


def test_only_numbers_and_truths_count(tmp_path):
    values = [1.5, None, True, np.inf, pd.Timestamp("2020-01-01"), Decimal("2.5"), "3"]
    values += ["1_29", "\u0663", " 1e-3\u00a0"]
    numbers = [_or_reason(value) for value in values]
    assert numbers == [
        1.5,
        "y is missing",
        1.0,
        "y is no number: inf",
        "y is no number: Timestamp('2020-01-01 00:00:00')",
        2.5,
        3.0,
        "y is no number: '1_29'",
        "y is no number: '\u0663'",
        0.001,
    ]
    truths = written(tmp_path, [(s, str(i % 2 == 0)) for i, s in enumerate(CHAIN)])
    assert read_assay(truths, "pKi")[0].kind == "cls"
    with pytest.raises(ValueError, match="all molecules have 1 in 'pKi': nothing to predict"):
        read_assay(written(tmp_path, [(s, 1) for s in CHAIN], name="one.csv"), "pKi")


def _or_reason(value):
    try:
        return assay._number(value, "y")
    except StructureError as error:
        return str(error)


def test_what_is_no_such_table_is_refused(tmp_path):
    rows = [(smiles, 5.0) for smiles in CHAIN]
    path = written(tmp_path, rows)
    with pytest.raises(ValueError, match="has no column 'ki'; it has Compound, pKi"):
        read_assay(path, "ki")
    few = written(tmp_path, [*rows[:3], ("CX", 1.0)], name="few.csv")
    with pytest.raises(
        ValueError, match="3 molecules with a number in 'pKi', expected 10 or more; row 3, 'CX': "
    ):
        read_assay(few, "pKi")
    with pytest.raises(ValueError, match=r"expected a table \(csv, tsv, parquet\)"):
        read_assay(tmp_path / "x.sdf", "pKi")
    two = written(
        tmp_path, [(s, s, float(len(s))) for s in CHAIN], ("id", "my_smiles", "smiles_2", "y"), "two.csv"
    )
    with pytest.raises(ValueError, match="smiles_column"):
        read_assay(two, "y")
    assert len(read_assay(two, "y", smiles_column="my_smiles")[0].smiles) == 12


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smiles;y\nCO;1.5\n", r"columns are separated by ';', expected ','"),
        ("smiles\ty\nCO\t1.5\n", r"columns are separated by '\\t', expected ','"),
        ("smiles,y\n", "there is no row in it"),
        ("smiles,y\nCO,1,5\n", "assay.csv, line 2: 3 fields, but the header has 2"),
        ("smiles\nCO\n", "has no column 'y'; it has no other"),
    ],
)
def test_a_table_that_gives_nothing_says_why(tmp_path, text, message):
    path = tmp_path / "assay.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_assay(path, "y")
