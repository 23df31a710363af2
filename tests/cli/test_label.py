"""The verb label, run in this process."""

import csv

import numpy as np

from skmol3d.cli import main
from skmol3d.trainer.data.conformer_kinds import ConformerKind


def test_labels_failures_and_the_numbers_of_both_are_told(tmp_path, capsys):
    source, out = tmp_path / "in.csv", tmp_path / "out.npz"
    source.write_text("drawing\nO\nbroken(\n[HH]\n")
    options = ["--smiles-column", "drawing", "--relax", "none", "--n-conformers", "2", "--random-state", "3"]
    assert main(["label", str(source), str(out), *options]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("4 conformers of 3 inputs in ")
    assert "1 failures, listed in" in printed.err
    assert "[1] 'broken('" in printed.err
    with out.with_name("out.npz.failures.csv").open() as file:
        assert [row["index"] for row in csv.DictReader(file)] == ["1"]
    with np.load(out) as labels:
        assert labels["row"].tolist() == [0, 0, 2, 2]
        assert set(labels["kind"].tolist()) == {ConformerKind.ETKDG}
        assert len(labels["forces"]) == 2 * 3 + 2 * 2


def test_what_is_there_is_not_written_over(tmp_path, capsys):
    source, out = tmp_path / "in.smi", tmp_path / "out.npz"
    source.write_text("O\n")
    out.write_bytes(b"labels of another day")
    assert main(["label", str(source), str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("skmol3d label: ")
    assert error.count("\n") == 1
    assert out.read_bytes() == b"labels of another day"


def test_a_file_without_molecules_is_in_nobody_s_way(tmp_path, capsys):
    source, out = tmp_path / "in.csv", tmp_path / "out.npz"
    source.write_text("smiles\n")
    assert main(["label", str(source), str(out)]) == 2
    assert "in.csv: there is no molecule in it" in capsys.readouterr().err
    source.write_text("smiles\nO\n")
    assert main(["label", str(source), str(out), "--relax", "none"]) == 0


def test_where_all_molecules_fail_the_status_says_so_and_the_mended_file_is_labelled(tmp_path, capsys):
    source, out = tmp_path / "in.smi", tmp_path / "out.npz"
    source.write_text("[CH3]\nO(\n")
    command = ["label", str(source), str(out), "--relax", "none"]
    assert main(command) == 1
    told = capsys.readouterr().err
    assert told.startswith("skmol3d label: none of the 2 inputs of ")
    assert "could be labelled; see" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.smi", "out.npz.failures.csv"]
    source.write_text("O\n")
    assert main(command) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.smi", "out.npz"]
