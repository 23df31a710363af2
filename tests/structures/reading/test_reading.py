"""Files of every format become records: the good ones, and the bad ones with the reason."""

import gzip
import io
import os

import pandas as pd
import pytest
from reading_examples import SMILES, block, content, records, structures

from skmol3d.structures import read_molecule, read_records
from skmol3d.structures.reading import count_records, file_format, read_schema

FORMATS = ["smi", "csv", "tsv", "parquet", "sdf", "mol", "xyz", "extxyz"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_every_format_from_a_file_and_from_a_stream(format, packed, tmp_path):
    data = gzip.compress(content(format)) if packed else content(format)
    path = tmp_path / f"in.{format.upper()}{'.gz' if packed else ''}"
    path.write_bytes(data)
    stream = io.BytesIO(data)
    for found in (
        list(read_records(path)),
        list(read_records(str(path))),
        list(read_records(stream, format=format)),
    ):
        assert [record.index for record in found] == [0, 1, 2]
        assert [record.name for record in found] == ["mol0", "mol1", "mol2"]
        keys = [read_molecule(record.structure).numbers.tolist() for record in found]
        assert [sorted(numbers) for numbers in keys] == [
            sorted(read_molecule(s).numbers.tolist()) for s in SMILES
        ]
        if format != "smi":
            assert [float(record.columns["y"]) for record in found] == [0.0, 0.5, 1.0]
    assert not stream.closed


def test_lines_say_where_records_begin():
    assert [r.line for r in records(b'smiles,note\nC,x\n\nO,"a\nb"\nN,x\n', "csv")] == [2, 4, 6]
    assert [r.line for r in records(b"\nC\n\nO\n", "smi")] == [2, 4]
    assert [r.line for r in records(b"1\n\nHe 0 0 0\n1\n\nHe 0 0 0\n", "xyz")] == [1, 4]


def test_records_are_read_one_at_a_time():
    class Endless(io.RawIOBase):
        given = 0

        def readable(self):
            return True

        def readinto(self, buffer):
            text = (b"CCO name\n" * (len(buffer) // 9))[: len(buffer)]
            buffer[: len(text)] = text
            self.given += len(text)
            return len(text)

    stream = Endless()
    found = read_records(stream, format="smi")
    assert [next(found).index for _ in range(5000)] == list(range(5000))
    assert stream.given < 200_000


# --- bytes -----------------------------------------------------------------------------------------------


def test_a_latin_1_property_costs_no_molecule():
    data = f"{block('CCO', 'Äthanol')}> <length>\n3 Å\n\n$$$$\n{block('CCN', 'β')}$$$$\n".encode(
        "latin-1", "replace"
    )
    first, second = records(data, "sdf")
    assert (first.name, first.columns) == ("Äthanol", {"length": "3 Å"})
    assert first.structure.GetProp("_Name") == "Äthanol"
    assert read_molecule(second.structure).smiles == "CCN"
    table = "smiles,note\nC,3 Å\nO,µ\n"
    for encoding in ("utf-8", "utf-8-sig", "latin-1"):
        found = records(table.encode(encoding), "csv")
        assert [(r.structure, r.columns) for r in found] == [("C", {"note": "3 Å"}), ("O", {"note": "µ"})]


def test_a_record_cut_inside_a_character_fails_alone():
    good = f"{block('CCO')}$$$$\n".encode()
    for cut in (b"\xc3", b"\xe2\x82", "Å".encode() * 40):
        for place in (b"V2000", b" O ", b"\n\n", b"M  END"):
            bad = good.replace(place, cut + place, 1)
            found = structures(bad + good, "sdf")
            assert read_molecule(found[1]).smiles == "CCO"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("format", ["smi", "csv", "sdf", "xyz"])
def test_utf_16_is_refused_by_name(encoding, format, tmp_path):
    path = tmp_path / f"in.{format}"
    path.write_bytes(content(format).decode().encode(encoding))
    with pytest.raises(ValueError, match=rf"in\.{format}: UTF-16 or binary data"):
        read_records(path)


@pytest.mark.parametrize("format", ["smi", "csv", "sdf", "xyz"])
def test_a_packed_file_that_breaks_off_keeps_what_came_before(format, tmp_path):
    path = tmp_path / f"in.{format}.gz"
    whole = gzip.compress(content(format) * 2000, mtime=0)
    path.write_bytes(whole[: len(whole) // 2])
    found = list(read_records(path))
    assert len(found) > 100
    assert read_molecule(found[0].structure)
    assert f"in.{format}.gz, after record {len(found) - 2}: cannot be read further" in str(
        found[-1].structure
    )


def test_what_is_no_gzip_or_parquet_is_named(tmp_path):
    (tmp_path / "in.smi.gz").write_bytes(b"\x1f\x8bnonsense and more")
    (tmp_path / "in.parquet").write_bytes(b"nonsense")
    for name in ("in.smi.gz", "in.parquet"):
        with pytest.raises(ValueError, match=name):
            read_records(tmp_path / name)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_pipes(format, packed):
    data = gzip.compress(content(format)) if packed else content(format)
    outgoing, incoming = os.pipe()
    with open(outgoing, "rb") as stream:
        with open(incoming, "wb") as end:
            end.write(data)  # less than a pipe holds
        found = list(read_records(stream, format=format))
    assert [record.name for record in found] == ["mol0", "mol1", "mol2"]


# --- names -----------------------------------------------------------------------------------------------


def test_formats_by_suffix():
    assert [file_format(name) for name in ("a.SMI", "b.c.csv.gz", "x.ExtXYZ", "y.parquet")] == [
        "smi",
        "csv",
        "extxyz",
        "parquet",
    ]
    for name in ("csv", "a.gz", "a.txt", "a.smi.zip"):
        with pytest.raises(ValueError, match=r"unknown file type; expected \.smi, \.csv"):
            file_format(name)
    with pytest.raises(ValueError, match="CrystalFeaturizer"):
        file_format("x.cif.gz")
    with pytest.raises(ValueError, match="a stream needs a format: smi, csv"):
        read_records(io.BytesIO(b"C"))
    with pytest.raises(ValueError, match="unknown format 'pdf'"):
        read_records("x.csv", format="pdf")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_reading_may_start_anywhere_and_records_are_counted(format, packed, tmp_path):
    path = tmp_path / f"in.{format}{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(content(format)) if packed else content(format))
    every = list(read_records(path))
    assert count_records(path) == 3
    for start in range(5):
        rest = list(read_records(path, start=start))
        assert [r.index for r in rest] == [0, 1, 2][start:]
        assert [(r.line, r.name, r.columns) for r in rest] == [
            (r.line, r.name, r.columns) for r in every[start:]
        ]
        assert [read_molecule(r.structure).key for r in rest] == [
            read_molecule(r.structure).key for r in every[start:]
        ]


def test_reading_parquet_may_start_within_a_row_group(tmp_path):
    path = tmp_path / "in.parquet"
    pd.DataFrame({"smiles": ["C" * (i + 1) for i in range(10)]}).to_parquet(path, row_group_size=4)
    for start in range(12):
        rest = [(r.index, len(r.structure)) for r in read_records(path, start=start)]
        assert rest == [(i, i + 1) for i in range(10)][start:]


def test_broken_records_are_counted_and_passed_over_like_others(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text('smiles,id\nC,a\nC,b,c,d\n"C,e\nO,f\n')
    every = list(read_records(path))
    assert count_records(path) == len(every) == 4
    assert [r.name for r in read_records(path, start=2)] == [r.name for r in every[2:]]


def test_a_file_that_breaks_off_has_as_many_records_counted_as_read(tmp_path):
    lines = "".join(f"{'C' * (i % 50 + 1)}O name{i}\n" for i in range(5000))
    path = tmp_path / "in.smi.gz"
    path.write_bytes(gzip.compress(lines.encode())[:-1000])
    assert count_records(path) == len(list(read_records(path)))


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.parquet", "in.csv.gz", "in.parquet.gz"])
def test_the_columns_of_a_table(name, tmp_path):
    path = tmp_path / name
    written = content(name.split(".")[1])
    path.write_bytes(gzip.compress(written) if name.endswith(".gz") else written)
    assert set(read_schema(path).names) >= {"y"}


@pytest.mark.parametrize("name", ["in.csv", "in.parquet", "in.parquet.gz"])
def test_a_file_that_is_no_table_is_named(name, tmp_path):
    (tmp_path / name).write_bytes(b"PAR1\0 and no more")
    with pytest.raises(ValueError, match=f"{name}: "):
        read_schema(tmp_path / name)
