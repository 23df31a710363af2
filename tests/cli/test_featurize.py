"""``skmol3d featurize``, run in this process."""

import gzip
import io
import sys
import types

import numpy as np
import pandas as pd
import pytest
from ase.io import write
from ase.spacegroup import crystal
from rdkit import Chem

from skmol3d import (
    CrystalFeaturizer,
    ECFPFeaturizer,
    Mo3ENetFeaturizer,
    PotentialFeaturizer,
    REM3DIFeaturizer,
)
from skmol3d.cli import featurize, main

SMILES = ["CCO", "c1ccccc1", "broken(", "CC(=O)O"]
ECFP = ["--model", "ecfp", "--n-bits", "32"]
ROWS = ECFPFeaturizer(n_bits=32, errors="nan")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"id": ["a", "b", "c", "d"], "SMILES": SMILES, "y": [0.5, 1, 2, 3]})
    frame.to_csv("in.csv", index=False)
    frame.to_parquet("in.parquet")
    return tmp_path


def run(*arguments, status=0):
    assert main(["featurize", *map(str, arguments)]) == status


# --- every encoder ---------------------------------------------------------------------------------------


def test_a_checkpoint_picks_its_featurizer(folder, tiny_checkpoint, tiny_mo3enet, tiny_potential):
    cases = [
        (
            tiny_checkpoint,
            ["--blocks", "chiral,invariant"],
            REM3DIFeaturizer,
            {"blocks": ("chiral", "invariant")},
        ),
        (tiny_mo3enet, ["--output", "norm"], Mo3ENetFeaturizer, {"output": "norm"}),
        (tiny_potential, ["--pooling", "sum,mean"], PotentialFeaturizer, {"pooling": ("sum", "mean")}),
    ]
    for model, options, family, settings in cases:
        run("in.csv", "out.npy", "--model", model, *options)
        expected = family(model=model, errors="nan", **settings).transform(SMILES)
        found = np.load("out.npy")
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert np.isnan(found[2]).all()


def test_parameters_reach_the_featurizer(folder, tiny_checkpoint):
    run("in.csv", "one.npy", "--model", tiny_checkpoint, "--n-conformers", 2, "--conformer-pooling", "all")
    run("in.csv", "two.npy", "--model", tiny_checkpoint, "--relax", "mmff", "--random-state", 3)
    settings = {"model": tiny_checkpoint, "errors": "nan"}
    several = REM3DIFeaturizer(n_conformers=2, conformer_pooling="all", **settings).transform(SMILES)
    relaxed = REM3DIFeaturizer(relax="mmff", random_state=3, **settings).transform(SMILES)
    np.testing.assert_allclose(np.load("one.npy"), several, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.load("two.npy"), relaxed, rtol=1e-5, atol=1e-6)


def test_salts_are_standardised_as_asked(folder):
    (folder / "salt.smi").write_text("CC(=O)O[Na]\nCC(=O)O\n")
    run("salt.smi", "parent.npy", *ECFP)
    run("salt.smi", "neutral.npy", *ECFP, "--standardise", "neutral")
    run("salt.smi", "drawn.npy", *ECFP, "--standardise", "none")
    neutral, drawn = np.load("neutral.npy"), np.load("drawn.npy")
    assert (neutral[0] == neutral[1]).all()
    assert (np.load("parent.npy")[0] != neutral[0]).any()
    expected = ECFPFeaturizer(n_bits=32, standardise=None).transform(["CC(=O)O[Na]"])
    np.testing.assert_array_equal(drawn[:1], expected)


@pytest.fixture
def crystals(folder):
    places = [(0, 0, 0), (0.118,) * 3]
    atoms = crystal("CO", places, spacegroup=205, cellpar=[5.64] * 3 + [90] * 3)
    write("co.cif", atoms)
    atoms.info.update(name="carbon monoxide", energy_kj=-3.5)
    write("co.extxyz", atoms)
    return atoms


def test_crystals_come_from_cif_and_extxyz(crystals, tiny_mo3enet, tiny_checkpoint):
    run("co.cif", "default.npy", "--model", tiny_mo3enet)
    expected = CrystalFeaturizer(model=tiny_mo3enet).transform([crystals])
    np.testing.assert_allclose(np.load("default.npy"), expected, atol=1e-4)
    run("co.extxyz", "rem3di.npy", "--crystals", "--model", tiny_checkpoint, "--blocks", "invariant")
    inner = REM3DIFeaturizer(model=tiny_checkpoint, blocks=("invariant",))
    expected = CrystalFeaturizer(molecule=inner).transform([crystals])
    np.testing.assert_allclose(np.load("rem3di.npy"), expected, atol=1e-4)
    run("co.extxyz", "volume.csv", "--crystals", "--model", "volume", "--keep", "energy_kj")
    frame = pd.read_csv("volume.csv")
    assert frame.loc[0, ["id", "energy_kj"]].tolist() == ["carbon monoxide", -3.5]
    np.testing.assert_allclose(
        frame.iloc[:, 2:], CrystalFeaturizer(molecule="volume").transform([crystals]), rtol=1e-6
    )


# --- every format ----------------------------------------------------------------------------------------


def test_tables_carry_ids_smiles_and_what_is_kept(folder):
    expected = ROWS.transform(SMILES)
    for name, read in (
        ("out.csv", pd.read_csv),
        ("out.csv.gz", pd.read_csv),
        ("out.parquet", pd.read_parquet),
    ):
        run("in.csv", name, *ECFP, "--keep", "y")
        frame = read(name)
        assert frame.columns.tolist() == ["id", "smiles", "y", *ROWS.get_feature_names_out()]
        assert frame["id"].tolist() == ["a", "b", "c", "d"]
        assert frame["smiles"].tolist() == SMILES
        assert frame["y"].astype(float).tolist() == [0.5, 1, 2, 3]
        np.testing.assert_array_equal(frame.iloc[:, 3:].to_numpy(np.float32), expected)


def test_csv_holds_every_digit_of_single_precision(folder, tiny_checkpoint):
    run("in.csv", "out.npy", "--model", tiny_checkpoint)
    run("in.csv", "out.csv", "--model", tiny_checkpoint)
    np.testing.assert_array_equal(pd.read_csv("out.csv").iloc[:, 2:].to_numpy(np.float32), np.load("out.npy"))


def test_parquet_keeps_its_own_types(folder):
    run("in.parquet", "out.parquet", *ECFP, "--keep", "y")
    frame = pd.read_parquet("out.parquet")
    assert frame["y"].dtype == float
    assert frame["ecfp_0"].dtype == np.float32


def test_a_matrix_has_its_ids_beside_it_if_asked_for(folder):
    run("in.csv", "out.npy", *ECFP)
    assert not (folder / "out.ids.csv").exists()
    run("in.csv", "out.npy", *ECFP, "--id-column", "y")
    assert pd.read_csv("out.ids.csv").to_dict("list") == {"id": [0.5, 1, 2, 3], "smiles": SMILES}


def test_several_sdf_records_keep_places_names_and_properties(folder):
    blocks = [Chem.MolToMolBlock(Chem.MolFromSmiles(s)) for s in ("CCO", "CCN")]
    text = f"ethanol{blocks[0]}> <pKa>\n15.9\n\n$$$$\nnot a record\n$$$$\n{blocks[1]}$$$$\n"
    with gzip.open("in.sdf.gz", "wt") as file:
        file.write(text)
    run("in.sdf.gz", "out.csv", *ECFP, "--keep", "pKa", "--failures", "failed.csv")
    frame = pd.read_csv("out.csv")
    assert frame["id"].tolist() == ["ethanol", "not a record", "2"]
    assert frame["pKa"].tolist()[0] == 15.9
    rows = frame.iloc[:, 2:].to_numpy(np.float32)
    np.testing.assert_array_equal(rows[[0, 2]], ROWS.transform(["CCO", "CCN"]))
    assert np.isnan(rows[1]).all()
    failed = pd.read_csv("failed.csv")
    assert failed[["index", "id"]].values.tolist() == [[1, "not a record"]]
    assert "in.sdf.gz, line" in failed["reason"][0]


def test_stdin_and_stdout(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"CCO ethanol\nCCN\n")))
    run("-", "-", *ECFP)
    printed = capsys.readouterr()
    frame = pd.read_csv(io.StringIO(printed.out))
    assert frame["id"].tolist() == ["ethanol", "1"]
    np.testing.assert_array_equal(frame.iloc[:, 2:].to_numpy(np.float32), ROWS.transform(["CCO", "CCN"]))
    assert "2 of 2 molecules" in printed.err
    monkeypatch.setattr(
        sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO((folder / "in.csv").read_bytes()))
    )
    run("-", "out.npy", *ECFP, "--format", "csv")
    np.testing.assert_array_equal(np.load("out.npy"), ROWS.transform(SMILES))


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfSMILES,id\nCCO,1\nCCN,2\n",
        "smiles,id,ort\nCCO,1,Zürich\nCCN,2,Genève\n".encode("latin-1"),
        b'id,Smiles,note\n1,CCO,"two\nlines, quoted"\n2,"CCN",x\n',
    ],
    ids=["byte order mark", "Latin-1", "quoted line ends"],
)
def test_tables_of_all_kinds_are_read(content, folder):
    (folder / "odd.csv").write_bytes(content)
    run("odd.csv", "out.csv", *ECFP)
    frame = pd.read_csv("out.csv")
    assert frame[["id", "smiles"]].values.tolist() == [[1, "CCO"], [2, "CCN"]]


# --- what goes wrong -------------------------------------------------------------------------------------


def test_failed_records_are_rows_of_nan_and_the_status_is_zero(folder, capsys):
    run("in.csv", "out.npy", *ECFP, "--failures", "failed.csv")
    assert np.isnan(np.load("out.npy")[2]).all()
    error = capsys.readouterr().err
    assert "3 of 4 molecules" in error
    assert "[2] c: 'broken(': not a valid SMILES" in error
    frame = pd.read_csv("failed.csv")
    assert frame[["index", "id", "input"]].values.tolist() == [[2, "c", "'broken('"]]
    assert sorted(path.name for path in folder.iterdir()) == ["failed.csv", "in.csv", "in.parquet", "out.npy"]


def test_with_errors_raise_there_is_no_output_and_the_status_is_one(folder, capsys):
    run("in.csv", "out.npy", *ECFP, "--errors", "raise", status=1)
    error = capsys.readouterr().err
    assert "3 of 4 molecules" in error
    assert "nothing written" in error
    assert sorted(path.name for path in folder.iterdir()) == ["in.csv", "in.parquet"]


def test_if_nothing_works_there_is_no_output_and_the_status_is_one(folder, capsys):
    (folder / "bad.smi").write_text("broken(\n?\n")
    run("bad.smi", "out.npy", *ECFP, status=1)
    assert "0 of 2 molecules" in capsys.readouterr().err
    assert not list(folder.glob("out*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("missing.csv out.npy", "missing.csv: No such file or directory"),
        ("missing.cif out.npy", "missing.cif: No such file or directory"),
        ("x.pdf out.npy", "x.pdf: unknown file type; expected .smi, .csv"),
        ("in.csv out.xlsx", "out.xlsx: unknown output type; expected .npy, .csv, .csv.gz, .parquet"),
        ("in.csv in.csv", "in.csv: the same file as the input or another output"),
        ("in.csv out.csv --failures out.csv", "out.csv: the same file as the input or another output"),
        ("in.csv no/out.npy", "no/out.npy: cannot be written: there is no folder no"),
        ("in.csv folder.npy", "folder.npy: cannot be written: it is a folder"),
        ("in.csv out.npy --smiles-column mol", "no column 'mol'; there are: id, SMILES, y"),
        ("in.csv out.npy --id-column name", "no column 'name'; there are: id, SMILES, y"),
        ("in.csv out.npy --model ecfp --keep z", "--keep z: no such column; there are: id, y"),
        ("in.csv out.npy --model ecfp --keep id", "--keep id: OUTPUT has a column of that name already"),
        ("ours.csv out.csv --model ecfp --keep ecfp_0", "--keep ecfp_0: the rows have a column of that name"),
        ("in.csv out.parquet --dask local --model ecfp", "out.parquet: is the name of a file"),
        ("one.smi out.npy --id-column y", "--id-column: smi has no columns"),
        ("in.csv out.npy --crystals", "--crystals: csv holds none; expected one of cif, extxyz, xyz"),
        ("- out.npy --format cif", "CIF is read from files, not from stdin"),
        ("empty.csv out.npy --model ecfp", "empty.csv: there is no molecule in it"),
        ("utf16.csv out.npy", "utf16.csv: UTF-16 or binary data, not UTF-8 text"),
        ("twice.csv out.npy", "twice.csv: more than one column is called 'SMILES'"),
        ("in.csv out.npy --model no-such-model", "'no-such-model' is neither a bundled checkpoint"),
        ("in.csv out.npy --model crystal-energy-small", "which gives no rows; expected one of mo3enet,"),
        ("in.csv out.npy --model ecfp --relax mmff --blocks words", "--relax, --blocks: not for ecfp"),
        ("in.csv out.npy --model ecfp --radius -1", "radius must be at least 0"),
    ],
)
def test_mistakes_give_messages_not_tracebacks(arguments, message, folder, capsys):
    (folder / "folder.npy").mkdir()
    (folder / "one.smi").write_text("CCO\n")
    (folder / "ours.csv").write_text("SMILES,ecfp_0\nCCO,1\n")
    (folder / "empty.csv").write_text("SMILES,id\n")
    (folder / "utf16.csv").write_text("SMILES\nCCO\n", encoding="utf-16")
    (folder / "twice.csv").write_text("SMILES,SMILES\nCCO,CCN\n")
    before = sorted(folder.iterdir())
    run(*arguments.split(), status=2)
    error = capsys.readouterr().err
    assert error.startswith("skmol3d featurize: ")
    assert message in error
    assert error.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_values_of_the_wrong_type_are_refused(folder, capsys):
    with pytest.raises(SystemExit, match="2"):
        run("in.csv", "out.npy", "--n-jobs", "x")
    assert "argument --n-jobs: expected a whole number, got 'x'" in capsys.readouterr().err


def test_a_folder_without_permission_is_named_before_anything_is_computed(folder, monkeypatch, capsys):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setattr(featurize, "_to_file", None)
    run("in.csv", "out.npy", *ECFP, status=2)
    assert "out.npy: cannot be written: no permission to write in" in capsys.readouterr().err


def test_a_full_disk_is_said_of_the_output_not_of_its_parts(folder, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    run("in.csv", "out.npy", *ECFP, status=2)
    assert (
        capsys.readouterr().err == "skmol3d featurize: out.npy: cannot be written: No space left on device\n"
    )
    assert not list(folder.glob("out*"))


# --- help ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "shown", "hidden"),
    [
        ([], "--failures", "--blocks"),
        (["--model", "rem3di-small"], "--blocks", "--failures"),
        (["--model", "ecfp"], "--radius", "--blocks"),
        (["--model", "et-xtb-small"], "--pooling", "--blocks"),
        (["--crystals", "--model", "volume"], "--symprec", "--blocks"),
    ],
)
def test_help_shows_files_or_the_parameters_of_a_model_on_a_screen(
    options, shown, hidden, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main(["featurize", *options, "--help"])
    printed = capsys.readouterr().out
    assert shown in printed
    assert hidden not in printed
    assert len(printed.splitlines()) <= 40
