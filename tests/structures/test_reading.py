"""Files of every format become records: the good ones, and the bad ones with the reason."""

import gzip
import io
import os

import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from skmol3d.structures import StructureError, read_molecule, read_records
from skmol3d.structures.reading import file_format

SMILES = ["CCO", "c1ccccc1", "CC(=O)O"]


def records(content, format, **columns):
    """Records of bytes, as from a pipe."""
    return list(read_records(io.BytesIO(content), format=format, **columns))


def structures(content, format):
    return [record.structure for record in records(content, format)]


def reasons(content, format):
    return [str(s) if isinstance(s, StructureError) else None for s in structures(content, format)]


def block(smiles, title=""):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    mol.SetProp("_Name", title)
    return Chem.MolToMolBlock(mol)


def content(format):
    """The three molecules with names and, where the format has any, a value `y`."""
    rows = [(f"mol{i}", smiles, str(i / 2)) for i, smiles in enumerate(SMILES)]
    if format == "smi":
        return "".join(f"{smiles} {name}\n" for name, smiles, _ in rows).encode()
    if format in ("csv", "tsv"):
        mark = "\t" if format == "tsv" else ","
        return "\n".join(mark.join(row) for row in [("id", "smiles", "y"), *rows]).encode()
    if format == "parquet":
        stream = io.BytesIO()
        pd.DataFrame(rows, columns=["id", "smiles", "y"]).to_parquet(stream)
        return stream.getvalue()
    if format in ("sdf", "mol"):
        return "".join(f"{block(smiles, name)}> <y>\n{y}\n\n$$$$\n" for name, smiles, y in rows).encode()
    frames = []
    for name, smiles, y in rows:
        lines = Chem.MolToXYZBlock(Chem.MolFromMolBlock(block(smiles), removeHs=False)).splitlines()
        frames += [lines[0], f"name={name} y={y}", *lines[2:]]
    return "\n".join(frames).encode()


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


# --- SMILES and tables -----------------------------------------------------------------------------------


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
        ("a,b", {}, "no column of SMILES; .* of: a, b"),
        ("", {}, "no column of SMILES"),
        ("smiles;y", {"smiles_column": "smiles"}, "no column 'smiles'; there are: smiles;y"),
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


def test_a_null_stays_missing():
    stream = io.BytesIO()
    pd.DataFrame(
        {"smiles": ["C", None], "y": [1.5, 2.5], "when": pd.to_datetime(["2026-01-01", None])}
    ).to_parquet(stream)
    first, second = read_records(stream, format="parquet")
    assert (first.structure, second.structure) == ("C", None)
    assert (first.columns["y"], first.line, second.columns["when"]) == (1.5, None, None)


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


# --- SDF and XYZ -----------------------------------------------------------------------------------------


def test_properties_of_an_sd_record():
    items = ">  7  <a b>  (3)\none\ntwo\n\n> <c>\n> <quoted>\n\n> <empty>\n\n$$$$\n"
    first, second = records(f"{block('CCO', 'x')}{items}bad\n\n\n> <c>\n5\n$$$$\n".encode(), "sdf")
    assert first.columns == {"a b": "one\ntwo", "c": "> <quoted>", "empty": ""}
    assert isinstance(second.structure, StructureError)
    assert second.name == "bad"


@pytest.mark.parametrize(
    ("line", "text", "reason"),
    [
        (3, " Qq", "Cannot convert ' Qq' to unsigned int"),
        (4, "    x", "Cannot process coordinates on line 5"),
    ],
)
def test_rdkit_s_reasons_are_passed_on(line, text, reason):
    lines = block("CCO").splitlines()
    lines[line] = text + lines[line][len(text) :]
    assert reason in reasons("\n".join(lines).encode(), "sdf")[0]


def test_the_last_separator_may_be_missing():
    assert len(records(block("CCO").encode(), "mol")) == 1
    two = f"{block('CCO')}$$$$\n{block('CCO')}\n\n".encode()
    assert reasons(two.replace(b"\n", b"\r\n"), "sdf") == [None, None]


def test_a_record_without_end_is_not_kept_in_memory(monkeypatch):
    monkeypatch.setattr("skmol3d.structures.reading.sdf.MAX_RECORD", 5000)
    data = f"{block('CCO')}$$$$\nendless\n{'x' * 70 + chr(10) * 1}".encode() * 1 + b"y\n" * 5000 + b"$$$$\n"
    found = reasons(data + f"{block('CCN')}$$$$\n".encode(), "sdf")
    assert found[0] is found[2] is None
    assert "a record of more than 5,000 characters" in found[1]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("1\n", "1 atoms announced, 0 found"),
        ("3\n\nO 0 0 0\n", "3 atoms announced, 1 found"),
        ("1\n\nO 0 0 0\nO 0 0 9\n", None),
        ("1\n\nXx 0 0 0\n", "KeyError: 'Xx'"),
        ("1\n\nO 0 zero 0\n", "not a valid XYZ frame: "),
        ("one\n", "expected a number of atoms, got 'one'"),
        ("-1\n", "expected a number of atoms, got '-1'"),
        ("1999999999997\n\nO 0 0 0\n", "'1999999999997' atoms; at most 1000 are supported"),
        ("9" * 5000 + "\n", "atoms; at most 1000 are supported"),
        ("1001\n\n" + "H 0 0 0\n" * 1001, "'1001' atoms; at most 1000 are supported"),
        ("1\nProperties=species:S:1:pos:R:3:x:R:1999999999\nO 0 0 0 1\n", "not a valid XYZ frame: "),
    ],
)
def test_a_broken_frame_fails_alone(frame, reason):
    good = "1\n\nHe 0 0 0\n"
    found = structures(f"{good}{frame}{good}{good}".encode(), "xyz")
    assert [atoms.symbols[0] for atoms in (found[0], *found[-2:])] == ["He"] * 3
    if reason is None:  # a line too many: a record of its own
        assert found[1].symbols[0] == "O"
        reason = "expected a number of atoms, got 'O 0 0 9'"
    (error,) = found[2 if len(found) == 5 else 1 : -2]
    assert f"stream, line {7 if len(found) == 5 else 4}: " in str(error)
    assert reason in str(error)


def test_frames_carry_what_the_comment_says():
    data = b'1\nname=x charge=2 energy=-3.5 note="a b"\nHe 0 0 0\n'
    (record,) = records(data, "extxyz")
    assert record.name == "x"
    assert record.columns == {"name": "x", "charge": 2, "note": "a b"}
    assert record.structure.get_potential_energy() == -3.5
    assert read_molecule(record.structure).charge == 2


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
