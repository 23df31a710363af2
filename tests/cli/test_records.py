"""What a command reads, and what stands beside its rows."""

import io
import sys
import types
from argparse import Namespace

import pytest

from skmol3d.cli.records import Source, find_source, label, label_columns, open_records
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
