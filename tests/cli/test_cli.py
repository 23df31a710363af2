"""The command line, run in this process."""

import subprocess
import sys
import types

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

import skmol3d
from skmol3d import ECFPFeaturizer, REM3DIFeaturizer, files
from skmol3d.cli import main
from skmol3d.structures import iter_inputs

SMILES = ["CCO", "c1ccccc1", "broken(", "CC(=O)O"]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "in.csv"
    pd.DataFrame({"id": range(4), "smiles": SMILES, "Structure": SMILES[::-1]}).to_csv(path, index=False)
    return path


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"skmol3d {skmol3d.__version__}\n"


def test_featurize_to_npy(table, tmp_path, tiny_checkpoint, capsys):
    out = tmp_path / "out.npy"
    assert main(["featurize", str(table), str(out), "--model", tiny_checkpoint]) == 0
    rows = np.load(out)
    expected = REM3DIFeaturizer(model=tiny_checkpoint, errors="nan").transform(SMILES)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)
    assert np.isnan(rows[2]).all()
    failures = pd.read_csv(tmp_path / "out.npy.failures.csv")
    assert failures["index"].tolist() == [2]
    printed = capsys.readouterr()
    assert "3 of 4 molecules" in printed.out
    assert "[2] 'broken(': not a valid SMILES" in printed.err


def test_featurize_streams_chunk_by_chunk(tmp_path, monkeypatch):
    source = tmp_path / "in.smi"
    source.write_text("".join(f"{'C' * i} name{i}\n" for i in range(1, 24)))
    sizes = []
    append = files.NpyWriter.append
    monkeypatch.setattr(files.NpyWriter, "append", lambda *args: sizes.append(len(args[1])) or append(*args))
    featurizer = ECFPFeaturizer(n_bits=64, errors="nan")
    by_ten = featurizer.iter_transform
    monkeypatch.setattr(featurizer, "iter_transform", lambda inputs: by_ten(inputs, chunk_size=10))
    assert files.write_rows(featurizer, iter_inputs(source), tmp_path / "out.npy") == 23
    assert sizes == [10, 10, 3]
    expected = featurizer.transform(["C" * i for i in range(1, 24)])
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy", mmap_mode="r"), expected)


def test_featurize_csv_with_named_column(table, tmp_path):
    out = tmp_path / "out.csv"
    command = ["featurize", str(table), str(out), "--smiles-column", "Structure", "--model", "ecfp"]
    assert main(command) == 0
    frame = pd.read_csv(out)
    assert frame["molecule"].tolist() == SMILES[::-1]
    assert frame.columns[1] == "ecfp_0"
    expected = ECFPFeaturizer(errors="nan").transform(SMILES[::-1])
    np.testing.assert_array_equal(frame.iloc[:, 1:].to_numpy(np.float32), expected)


def test_featurize_sdf_keeps_places(tmp_path):
    source = tmp_path / "in.sdf"
    blocks = [Chem.MolToMolBlock(Chem.MolFromSmiles(s)) for s in ("CCO", "CCN")]
    source.write_text(f"{blocks[0]}$$$$\nnot a record\n$$$$\n{blocks[1]}$$$$\n")
    assert main(["featurize", str(source), str(tmp_path / "out.npy"), "--model", "ecfp"]) == 0
    rows = np.load(tmp_path / "out.npy")
    np.testing.assert_array_equal(rows[[0, 2]], ECFPFeaturizer().transform(["CCO", "CCN"]))
    assert np.isnan(rows[1]).all()


def test_featurize_raise_leaves_nothing(table, tmp_path, capsys):
    out = tmp_path / "out.npy"
    assert main(["featurize", str(table), str(out), "--model", "ecfp", "--errors", "raise"]) == 2
    assert "1 of 4 molecules could not be featurized" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_failures_of_an_earlier_run_disappear(table, tmp_path):
    out = tmp_path / "out.npy"
    main(["featurize", str(table), str(out), "--model", "ecfp"])
    assert (tmp_path / "out.npy.failures.csv").exists()
    table.write_text("smiles\nCCO\n")
    main(["featurize", str(table), str(out), "--model", "ecfp"])
    assert not (tmp_path / "out.npy.failures.csv").exists()
    assert np.load(out).shape == (1, 2048)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["featurize", "missing.csv", "out.npy"], "missing.csv"),
        (["featurize", "missing.sdf", "out.npy"], "missing.sdf"),
        (["featurize", "{table}", "out.xlsx", "--model", "ecfp"], "unknown output type; expected .npy, .csv"),
        (["featurize", "{table}", "{table}"], "same file"),
        (["featurize", "x.pdf", "out.npy"], "unknown file type; expected .smi, .csv, .tsv, .sdf"),
        (
            ["featurize", "{table}", "out.npy", "--smiles-column", "mol"],
            "no column 'mol'; there are: id, smiles, Structure",
        ),
        (["featurize", "{table}", "out.npy", "--model", "no-such-model"], "no-such-model"),
        (["benchmark", "--tasks", "missing-folder"], "missing-folder"),
        (["benchmark", "--only", "nothing"], "no task nothing in the shipped table"),
        (["benchmark", "--methods", "maccs"], "unknown method 'maccs'"),
        (["benchmark", "--methods", "ecfp", "--heads", "svm"], "unknown heads ['svm']"),
    ],
)
def test_mistakes_give_messages_not_tracebacks(arguments, message, table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([text.format(table=table) for text in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith(f"skmol3d {arguments[0]}: ")
    assert "Traceback" not in error


def test_unknown_options_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["demo", "--fast"])
    assert "unrecognized arguments: --fast" in capsys.readouterr().err


def test_folds_are_checked(capsys):
    for text in ("5", "1x3", "5x0", "axb"):
        with pytest.raises(SystemExit, match="2"):
            main(["benchmark", "--cv", text])
    assert "expected KxR such as 5x3" in capsys.readouterr().err


def test_benchmark_on_a_panel_writes_its_files_and_resumes(tmp_path, tiny_checkpoint, capsys):
    rng = np.random.default_rng(0)
    folder = tmp_path / "panel"
    folder.mkdir()
    smiles = [f"C{'C' * (i % 7)}{'O' * (i % 2)}{'N' * (i % 3 == 0)}" for i in range(42)]
    split = np.where(rng.random(42) < 0.7, "train", "test")
    y = [len(text) + rng.normal() for text in smiles]
    pd.DataFrame({"smiles": smiles, "y": y, "split": split}).to_csv(folder / "size.csv", index=False)
    out = tmp_path / "out"
    ours = f"rem3di:{tiny_checkpoint}"
    command = ["benchmark", "--tasks", str(folder), "--methods", ours, "ecfp", "ecfp-count"]
    command += ["--heads", "linear", "--out", str(out)]
    assert main(command) == 0
    first = capsys.readouterr().out
    assert "| size | MAE |" in first
    assert f"| {ours} – better of ecfp, ecfp-count | MAE |" in first
    assert (out / "tables.md").read_text() == first
    assert (out / "win_rates.png").read_bytes().startswith(b"\x89PNG")
    results = pd.read_csv(out / "results.csv")
    assert results["method"].tolist() == [ours, "ecfp", "ecfp-count"]
    assert results["n_test"].unique() == [(split == "test").sum()]
    stamps = {path: path.stat().st_mtime_ns for path in (out / "results").iterdir()}
    assert len(stamps) == 3
    assert main(command) == 0
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in (out / "results").iterdir()} == stamps


def test_demo(tiny_checkpoint, monkeypatch, capsys):
    monkeypatch.setattr("skmol3d.cli.demo.ROWS", 30)
    assert main(["demo", "--model", tiny_checkpoint]) == 0
    out = capsys.readouterr().out
    assert "30 of the shipped small organics" in out
    assert "| dipole | MAE (Debye) | 24/6 | 0 |" in out
    assert "| gap | MAE (eV) | 24/6 | 0 |" in out


def test_benchmark_of_the_shipped_table_by_folds(capsys):
    command = ["benchmark", "--only", "gap", "--methods", "ecfp", "--heads", "linear", "--cv", "2x1"]
    assert main(command) == 0
    assert "| gap | MAE (eV) |" in capsys.readouterr().out


def test_mirror_images_are_not_told_apart_by_folds():
    from skmol3d.cli.benchmark import shipped_tasks
    from skmol3d.datasets import load_small_organics

    (gap,) = [task for task in shipped_tasks() if task.name == "gap"]
    whole = load_small_organics().data
    assert (pairs(whole), pairs(gap.smiles)) == (50, 0)
    assert len(gap.smiles) == len(whole) - 50


def pairs(smiles):
    """Number of mirror-image pairs among SMILES."""
    names = {Chem.CanonSmiles(text) for text in smiles}
    mirrored = {Chem.CanonSmiles(n.replace("@@", "!").replace("@", "@@").replace("!", "@")): n for n in names}
    return len([image for image, name in mirrored.items() if image in names and image != name]) // 2


HELP = """
import sys, skmol3d.cli
try:
    skmol3d.cli.main(["--help"])
except SystemExit:
    assert "torch" not in sys.modules
"""


def test_help_needs_no_torch():
    printed = subprocess.run([sys.executable, "-c", HELP], check=True, capture_output=True, text=True).stdout
    assert all(command in printed for command in ("featurize", "benchmark", "demo", "pretrain"))


def test_pretrain_hands_its_arguments_to_the_trainer(monkeypatch, capsys):
    seen = []
    trainer = types.ModuleType("skmol3d.trainer.pretrain")
    trainer.add_arguments = lambda parser: (
        parser.add_argument("recipe"),
        parser.add_argument("--steps", type=int),
    )
    trainer.run = seen.append
    monkeypatch.setitem(sys.modules, "skmol3d.trainer.pretrain", trainer)
    monkeypatch.setattr("skmol3d.trainer.pretrain", trainer, raising=False)
    assert main(["pretrain", "small.yaml", "--steps", "5"]) == 0
    assert main(["pretrain", "--steps", "7", "other.yaml"]) == 0
    assert [(args.recipe, args.steps) for args in seen] == [("small.yaml", 5), ("other.yaml", 7)]
    with pytest.raises(SystemExit, match="0"):
        main(["pretrain", "--help"])
    assert "usage: skmol3d pretrain" in capsys.readouterr().out
