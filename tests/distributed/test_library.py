"""What a library is made of, and what is wrong with it, is said before anything is computed."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from skmol3d.distributed.library import find_files, open_library


def test_files_come_in_the_order_of_their_numbers(tmp_path):
    for name in ("part.10.csv", "part.9.csv", "_manifest.csv", ".hidden.csv", "notes.txt"):
        (tmp_path / name).write_text("smiles\nC\n")
    with pytest.warns(UserWarning, match=r"passed over, of unknown types: notes\.txt$"):
        find_files(tmp_path)
    (tmp_path / "notes.txt").unlink()
    for library in (tmp_path, str(tmp_path / "*part*.csv")):
        assert [path.name for path in find_files(library)] == ["part.9.csv", "part.10.csv"]
    listed = [tmp_path / "part.10.csv", tmp_path / "part.9.csv"]
    assert find_files(listed) == listed


def test_what_is_not_there_is_named(tmp_path):
    for library in (tmp_path, tmp_path / "missing.csv", str(tmp_path / "*.csv"), [tmp_path / "missing.csv"]):
        with pytest.raises(FileNotFoundError, match=tmp_path.name):
            find_files(library)


def test_partitions_cover_each_file(folder):
    library = open_library("library", size=5)
    assert library.molecules == 30
    sources = [library.source(i) for i in range(len(library))]
    assert [(Path(s.path).name[5], s.start, s.count, s.first) for s in sources] == [
        ("0", 0, 5, 0), ("0", 5, 5, 5), ("0", 10, 2, 10), ("1", 0, 5, 12), ("1", 5, 5, 17), ("1", 10, 2, 22),
        ("2", 0, 5, 24), ("2", 5, 1, 29),
    ]  # fmt: skip


def test_files_that_were_counted_are_not_counted_again(folder, monkeypatch):
    library = open_library("library")
    monkeypatch.setattr("skmol3d.distributed.library.count_records", None)
    assert open_library("library", counted=library.counted).molecules == 30


def test_files_of_several_formats_or_columns_are_refused(folder, table):
    table.to_csv("library/more.csv")
    with pytest.raises(ValueError, match=r"library: files of several formats \(csv, parquet\)"):
        open_library("library")
    Path("library/more.csv").unlink()
    table.assign(pki="high").drop(columns="plate").to_parquet("library/part.3.parquet", index=False)
    with pytest.raises(
        ValueError,
        match=r"part.3.parquet: columns other than those of part.0.*: pki is .*, .* no plate",
    ):
        open_library("library")


def test_a_column_that_is_missing_is_said_at_once(folder, table):
    table.drop(columns="smiles").to_csv("none.csv")
    with pytest.raises(ValueError, match="no column of SMILES"):
        open_library("none.csv")
    with pytest.raises(ValueError, match="no column 'code'"):
        open_library("library", id_column="code")
    Path("in.smi").write_text("C\n")
    with pytest.raises(ValueError, match="smiles_column: smi has no columns"):
        open_library("in.smi", smiles_column="smiles")


def test_a_column_of_nothing_is_text_and_types_that_are_not_kept_to_are_named(tmp_path):
    table = pd.DataFrame({"smiles": ["C"], "note": [None]})
    pa.parquet.write_table(pa.Table.from_pandas(table), tmp_path / "in.parquet")
    columns = open_library(tmp_path / "in.parquet").columns
    assert columns.schema.field("note").type == pa.string()
    record = next(open_library(tmp_path / "in.parquet").source(0).records())
    assert [array.to_pylist() for array in columns.arrays([record], 0)] == [["C"], [None]]
    record.columns["note"] = 3
    assert columns.arrays([record], 0)[1].to_pylist() == ["3"]


@pytest.mark.parametrize("missing", ["dask", "pyarrow"])
def test_what_is_not_installed_is_said_with_what_to_install(missing):
    code = (
        f"import sys; sys.modules['{missing}'] = None\nfrom skmol3d.cli import main\n"
        "sys.exit(main(['featurize', 'in.smi', 'out', '--model', 'ecfp', '--dask', 'local']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "skmol3d featurize: libraries need dask and pyarrow: pip install 'skmol3d[dask]'" in done.stderr


ATOM = "  1  0  0  0  0  0  0  0  0  0999 V2000\n    0.0    0.0    0.0 C   0  0\nM  END\n"
SD = "{title}\n\n\n" + ATOM + "{items}$$$$\n"


def test_properties_of_every_sd_file_are_kept_and_an_id_is_a_name(tmp_path):
    (tmp_path / "1.sdf").write_text(SD.format(title="", items="> <id>\nX1\n\n> <act>\n5\n\n"))
    (tmp_path / "2.sdf").write_text(SD.format(title="two", items="> <late>\n7\n\n"))
    library = open_library(tmp_path)
    assert library.columns.schema.names == ["id", "act", "late"]
    records = [record for i in range(2) for record in library.source(i).records()]
    assert library.columns.arrays(records, 0)[0].to_pylist() == ["X1", "two"]
    (tmp_path / "3.sdf").write_text(SD.format(title="three", items="> <id>\nX3\n\n"))
    with pytest.raises(ValueError, match=r"3.sdf: a property 'id' that is not the title, and would be lost"):
        open_library(tmp_path)
    assert open_library(tmp_path, keep=["act"]).columns.schema.names == ["id", "act"]


def test_columns_without_a_name_are_left_out(tmp_path):
    (tmp_path / "a.csv").write_text("id,smiles,,\n1,CCO,,\n")
    assert open_library(tmp_path / "a.csv").columns.schema.names == ["id", "smiles"]
    table = pd.DataFrame({"smiles": ["C"], "__null_dask_index__": [0]}, index=[3])
    table.to_parquet(tmp_path / "a.parquet")
    assert open_library(tmp_path / "a.parquet").columns.schema.names == ["smiles"]
