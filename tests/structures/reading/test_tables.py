"""Lists of SMILES, delimited text and Parquet."""

import io

import pandas as pd
import pytest
from reading_examples import reasons, records, structures

from skmol3d.structures import read_records


def test_a_line_of_smiles_has_an_extension_and_a_name():
    (first, second) = records(b"SMILES Name\nC[C@@H](F)Cl |o1:1| two words\nCC\t\n", "smi")
    assert (first.structure, first.name) == ("C[C@@H](F)Cl |o1:1|", "two words")
    assert (second.structure, second.name) == ("CC", None)


@pytest.mark.parametrize("header", ["smiles", "SMILES", " Smiles ", "canonical_smiles", "Isomeric SMILES"])
def test_the_column_of_smiles_is_found_in_any_case(header):
    (record,) = records(f"ID,{header},y\n7,CCO,3\n".encode(), "csv")
    assert (record.structure, record.name) == ("CCO", "7")
    assert record.columns == {"ID": "7", "y": "3"}


def test_columns_can_be_named():
    data = b"smiles,Parent,cas,id\nC,CC,1-2,5\n"
    (record,) = records(data, "csv", smiles_column="parent", id_column="CAS")
    assert (record.structure, record.name) == ("CC", "1-2")
    assert record.columns == {"smiles": "C", "cas": "1-2", "id": "5"}


@pytest.mark.parametrize(
    ("header", "columns", "message"),
    [
        ("a,b", {}, r"no column of SMILES; name one \(smiles_column, --smiles-column\) of: a, b"),
        ("", {}, "the first line, which names the columns, is empty"),
        ("smiles;y", {"smiles_column": "smiles"}, "columns are separated by ';', expected ','"),
        ("smiles,SMILES", {}, "several columns of SMILES; .*: smiles, SMILES"),
        ("rdkit_smiles,raw_smiles", {}, "several columns of SMILES"),
        ("smiles,y,y", {}, "more than one column is called 'y'"),
        ("smiles,y", {"smiles_column": "mol"}, "no column 'mol'; there are: smiles, y"),
        ("smiles,y", {"id_column": "mol"}, "no column 'mol'; there are: smiles, y"),
        ("smiles,Mol,MOL", {"id_column": "mol"}, "several columns 'mol'"),
        (",".join(f"c{i}" for i in range(100)), {}, "c18, c19 and 80 more"),
        ('"smiles"x,y', {}, "not a valid header of a table"),
    ],
)
def test_what_is_wrong_with_a_header_is_said_at_once(header, columns, message):
    with pytest.raises(ValueError, match=message):
        read_records(io.BytesIO(header.encode() + b"\n1,2\n"), format="csv", **columns)
    if "," in header and '"' not in header:
        frame = pd.DataFrame([["C"] * len(header.split(","))], columns=range(len(header.split(","))))
        frame.columns = header.split(",")
        if frame.columns.is_unique:
            stream = io.BytesIO()
            frame.to_parquet(stream)
            with pytest.raises(ValueError, match=message):
                read_records(stream, format="parquet", **columns)


def test_rows_that_are_no_rows_keep_their_places():
    data = b'smiles,y,z\nC,1\n"C,1\nCC,2,\nN,3,4,5\nO,6,7,,\n"a"b,1\n,,8\nCCC\n'
    assert reasons(data, "csv") == [
        None,
        "stream, line 3: not a valid row of a table: ',' expected after '\"'",
        None,
        "stream, line 5: 4 fields, but the header has 3",
        None,
        "stream, line 7: not a valid row of a table: ',' expected after '\"'",
        None,
        None,
    ]
    good = [s for s in structures(data, "csv") if isinstance(s, str)]
    assert good == ["C", "CC", "O", "", "CCC"]


def test_rows_are_those_of_pandas():
    data = b'smiles,y\nC,1\n\n  \n,\n"",2\nO,\n'
    found = [(r.structure, r.columns["y"]) for r in records(data, "csv")]
    frame = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    assert found == list(zip(frame["smiles"], frame["y"], strict=True))
    assert [r.structure for r in records(b'smiles\nC\n\n""\nO\n', "csv")] == ["C", "", "O"]


def test_a_null_stays_missing():
    stream = io.BytesIO()
    pd.DataFrame(
        {"smiles": ["C", None], "y": [1.5, 2.5], "when": pd.to_datetime(["2026-01-01", None])}
    ).to_parquet(stream)
    first, second = read_records(stream, format="parquet")
    assert (first.structure, second.structure) == ("C", None)
    assert (first.columns["y"], first.line, second.columns["when"]) == (1.5, None, None)


def test_a_file_without_a_byte_is_empty(tmp_path):
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty\.csv: is empty"):
        read_records(tmp_path / "empty.csv")
