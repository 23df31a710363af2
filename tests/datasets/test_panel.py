"""The reader of a folder of tasks."""

import gzip
import json

import numpy as np
import pytest

from skmol3d.datasets import read_panel


@pytest.fixture
def panel(tmp_path):
    """A folder with one regression task and one classification task, and its tasks.json."""
    (tmp_path / "zeta.csv").write_text("smiles,y,split\nCCO,1.5,train\nNA,-2,test\nC,1e-3,train\n")
    with gzip.open(tmp_path / "alpha.csv.gz", "wt") as stream:
        stream.write("id,y,smiles\na,1,CC\nb,0.0,CCC\n")
    entries = {"zeta": {"kind": "reg", "unit": "eV", "source": "here", "n": 3}, "alpha": {"kind": "cls"}}
    (tmp_path / "tasks.json").write_text(json.dumps(entries))
    return tmp_path


def rewrite(panel, **changes):
    path = panel / "tasks.json"
    entries = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: entry for name, entry in entries.items() if entry is not None}))


def test_reads_what_is_written(panel):
    zeta, alpha = read_panel(panel)
    assert (zeta.name, zeta.kind, zeta.unit, zeta.source) == ("zeta", "reg", "eV", "here")
    assert zeta.smiles == ["CCO", "NA", "C"]  # sodium bound to nothing is not a missing value
    np.testing.assert_array_equal(zeta.y, [1.5, -2.0, 0.001])
    assert zeta.y.dtype == np.float64
    assert zeta.split.tolist() == ["train", "test", "train"]
    assert (alpha.name, alpha.kind, alpha.unit, alpha.source) == ("alpha", "cls", "", "")
    assert alpha.smiles == ["CC", "CCC"]
    assert alpha.split is None


def test_names_choose_and_order(panel):
    assert [task.name for task in read_panel(str(panel), names=["alpha", "zeta"])] == ["alpha", "zeta"]
    assert [task.name for task in read_panel(panel, names=["alpha"])] == ["alpha"]
    with pytest.raises(ValueError, match=r"has no task beta; it has alpha, zeta"):
        read_panel(panel, names=["alpha", "beta"])
    with pytest.raises(TypeError, match="sequence of names, got the string 'alpha'"):
        read_panel(panel, names="alpha")


def test_kind_is_inferred_without_tasks_json(panel):
    (panel / "tasks.json").unlink()
    (panel / "ones.csv").write_text("smiles,y\nC,1\nCC,1\n")
    kinds = {task.name: task.kind for task in read_panel(panel)}
    assert kinds == {"alpha": "cls", "ones": "reg", "zeta": "reg"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("SMILES,y\nC,1\n", r"zeta\.csv has no column 'smiles', only 'SMILES', 'y'"),
        ("smiles,value\nC,1\n", r"zeta\.csv has no column 'y'"),
        ("smiles,y\n", r"zeta\.csv has no rows"),
        ("", r"zeta\.csv cannot be read as CSV"),
        ("smiles,y\nC,1\nCC,\n", r"zeta\.csv, row 1: expected a finite number y, got ''"),
        ("smiles,y\nC,nan\nCC,1\n", r"row 0: expected a finite number y, got 'nan'"),
        ("smiles,y\nC,inf\nCC,1\n", r"row 0: expected a finite number y, got 'inf'"),
        ("smiles,y\nC,1\nCC,high\nCCC,low\n", r"row 1: .* got 'high' \(and 1 more such rows\)"),
        ("smiles,y\nC,1\n ,2\n", r"row 1: expected a SMILES, got ' '"),
        (
            "smiles,y,split\nC,1,train\nCC,2,valid\n",
            r'row 1: expected a split "train" or "test", got \'valid\'',
        ),
        ("smiles,y,split\nC,1,train\nCC,2,train\n", r"every split is 'train'"),
    ],
)
def test_bad_table(panel, content, message):
    (panel / "zeta.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_panel(panel)


def test_bad_class_label(panel):
    (panel / "zeta.csv").write_text("smiles,y\nC,1\nCC,0\nCCC,2\n")
    rewrite(panel, zeta={"kind": "cls"})
    with pytest.raises(ValueError, match=r"zeta\.csv, row 2: expected a class label 0 or 1, got '2'"):
        read_panel(panel)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"zeta": {"kind": "regression"}}, r"kind of 'zeta' should be \"reg\" or \"cls\", got 'regression'"),
        ({"zeta": {"unit": "eV"}}, "got None"),
        ({"zeta": {"kind": "reg", "unit": 3}}, "the unit of 'zeta' should be a string, got 3"),
        ({"zeta": None}, r"has no entry 'zeta' for zeta\.csv"),
        ({"beta": {"kind": "reg"}}, r"has an entry 'beta', but there is no beta\.csv"),
        ({"beta": "reg"}, r"tasks\.json should be"),
    ],
)
def test_bad_tasks_json(panel, changes, message):
    rewrite(panel, **changes)
    with pytest.raises(ValueError, match=message):
        read_panel(panel)


def test_tasks_json_that_is_not_json(panel):
    (panel / "tasks.json").write_text("kind: reg")
    with pytest.raises(ValueError, match=r"tasks\.json is not JSON"):
        read_panel(panel)


def test_damaged_gzip(panel):
    path = panel / "alpha.csv.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ValueError, match=r"alpha\.csv\.gz cannot be read as CSV"):
        read_panel(panel)


def test_folders_that_are_no_panel(panel, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_panel(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no task"):
        read_panel(tmp_path / "empty")
    (panel / "alpha.csv").write_text("smiles,y\nC,1\n")
    with pytest.raises(ValueError, match=r"has both alpha\.csv and alpha\.csv\.gz"):
        read_panel(panel)
