"""What a command reads, and what stands beside its rows."""

import io
import sys
import types
from argparse import Namespace

import pytest

from skmol3d.cli.records import Source, find_source, label, label_columns, open_records, own_table
from skmol3d.structures import Record


def arguments(input, **given):
    missing = {"format": None, "crystals": False, "smiles_column": None, "id_column": None}
    return Namespace(input=input, **(missing | given))


@pytest.mark.parametrize(
    ("name", "given", "format", "crystals"),
    [
        ("a.csv", {}, "csv", False),
        ("A.SDF.GZ", {}, "sdf", False),
        ("a.txt", {"format": "smi"}, "smi", False),
        ("a.csv", {"format": "tsv"}, "tsv", False),
        ("-", {}, "smi", False),
        ("-", {"format": "sdf"}, "sdf", False),
        ("a.xyz", {}, "xyz", False),
        ("a.xyz", {"crystals": True}, "xyz", True),
        ("a.cif", {}, "cif", True),
        ("a.CIF.gz", {}, "cif", True),
    ],
)
def test_the_name_says_what_is_read_unless_an_option_does(name, given, format, crystals):
    found = find_source(arguments(name, **given))
    assert (found.format, found.crystals) == (format, crystals)
    assert (found.path is None) == (name == "-")


@pytest.mark.parametrize("option", ["smiles_column", "id_column"])
def test_columns_are_of_tables(option):
    find_source(arguments("a.parquet", **{option: "x"}))
    with pytest.raises(ValueError, match=f"--{option.replace('_', '-')}: sdf has no columns"):
        find_source(arguments("a.sdf", **{option: "x"}))


def test_stdin_is_read_one_record_at_a_time(monkeypatch):
    class Slow(io.BytesIO):
        def readline(self, *size):
            line = super().readline(*size)
            if line.startswith(b"stop"):
                raise AssertionError("read ahead")
            return line

    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=Slow(b"CCO a\nCCN\nstop\n")))
    args = arguments("-")
    records = open_records(find_source(args), args)
    assert [(r.structure, r.name) for r in (next(records), next(records))] == [("CCO", "a"), ("CCN", None)]


def test_labels_are_the_name_or_number_the_text_and_what_is_kept():
    table, frames = Source(None, "csv", False), Source(None, "xyz", False)
    named = Record(7, None, "ethanol", "CCO", {"y": "1.5"})
    assert label_columns(table, ["y", "z"]) == ["id", "smiles", "y", "z"]
    assert label(named, table, ["y", "z"]) == ["ethanol", "CCO", "1.5", None]
    nameless = Record(7, None, None, object(), {"y": "1.5"})
    assert label(nameless, table, ["y"]) == ["7", "", "1.5"]
    assert label_columns(frames, ["y"]) == ["id", "y"]
    assert label(nameless, frames, ["y"]) == ["7", "1.5"]
    for twice in (["smiles"], ["id"], ["y", "y"]):
        with pytest.raises(ValueError, match="has a column of that name already"):
            label_columns(table, twice)
    assert label_columns(frames, ["smiles"]) == ["id", "smiles"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0, 1] * 10, "y: two classes (0: 10, 1: 10)"),
        (
            [0, 1] * 9 + [0, 2],
            "y: numbers from 0 to 2; if two classes are meant: they must be 0 and 1 alone, ",
        ),
        ([0, 1] * 9 + [0, 0.5], f"alone, and {'C' * 20}O has 0.5"),
        (
            [1, 2] * 10,
            "y: numbers from 1 to 2; if two classes are meant: they must be 0 and 1 alone, and CCO has",
        ),
        ([-1, 1] * 10, "alone, and CO has -1"),
        ([i / 2 for i in range(20)], "y: numbers from 0 to 9.5\n"),
        (list(range(20)), "y: numbers from 0 to 19\n"),
    ],
)
def test_what_a_column_is_taken_for_is_said(tmp_path, values, said, capsys):
    rows = "".join(f"{'C' * n}O,{y}\n" for n, y in enumerate(values, 1))
    (tmp_path / "a.csv").write_text(f"smiles,y\n{rows}")
    own_table(Namespace(table=tmp_path / "a.csv", target="y", smiles_column=None))
    assert said in capsys.readouterr().err


def test_a_stray_label_that_repeats_hide_is_one_too(tmp_path, capsys):
    rows = "".join(f"{'C' * n}O,{n % 2}\n" for n in range(1, 13))
    (tmp_path / "a.csv").write_text(f"smiles,y\n{rows}CCO,2\n")  # the mean with 0 is 1
    own_table(Namespace(table=tmp_path / "a.csv", target="y", smiles_column=None))
    assert capsys.readouterr().err.endswith(
        "y: numbers from 0 to 1; if two classes are meant: they must be 0 and 1 alone\n"
    )
