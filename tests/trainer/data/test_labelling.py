"""``skmol3d label``: labels of every kind of input, resumed after kills, failures told."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import psutil
import pytest
from ase.build import molecule
from test_readers import sdf

from skmol3d.cli import main
from skmol3d.structures import ConformerSettings, StructureError
from skmol3d.structures.xtb import xtb_labels
from skmol3d.trainer.data import labelling
from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.labelling import label_file
from skmol3d.trainer.data.positions import POSITION_UNIT
from skmol3d.trainer.data.xtb import read_xtb

SMILES = ["CCO", "broken(", "[Na+].CC(=O)[O-]", "[CH3]", "N", "O"]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "in.csv"
    pd.DataFrame({"Structure": SMILES}).to_csv(path, index=False)
    return path


def assert_labels_belong_to_positions(path):
    data = read_xtb(path)
    for m in range(len(data)):
        batch, targets = data.batch(np.array([m]))
        atoms = slice(*data.offsets[m : m + 2])
        again = xtb_labels(data.numbers[atoms], data.positions[atoms] * POSITION_UNIT, int(data.charge[m]))
        assert data.molecule_targets["energy"][m] == again.energy
        for name in ("forces", "charges"):
            np.testing.assert_allclose(targets[name], getattr(again, name), rtol=1e-5, atol=1e-7)
        for name in ("dipole", "homo", "lumo"):
            np.testing.assert_allclose(targets[name][0], getattr(again, name), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(batch.positions.mean(0), 0, atol=1e-3)
    return data


@pytest.mark.slow
def test_smiles_from_the_command_line(table, tmp_path, capsys):
    out = tmp_path / "out.npz"
    command = ["label", str(table), str(out), "--smiles-column", "Structure", "--n-conformers", "2"]
    assert main(command) == 0
    data = assert_labels_belong_to_positions(out)
    assert data.group.tolist() == [0, 0, 2, 2, 4, 4, 5, 5]
    assert data.charge.tolist() == [0, 0, -1, -1, 0, 0, 0, 0]
    assert data.sizes.tolist() == [9, 9, 7, 7, 4, 4, 3, 3]
    with np.load(out) as arrays:
        assert arrays["kind"].tolist() == [ConformerKind.MMFF] * 8
    # Relaxed in a similar force field: small forces, and near the energy of the other conformer.
    assert np.abs(data.atom_targets["forces"]).max() < 2.5
    assert abs(np.diff(data.molecule_targets["energy"])[0]) < 0.3
    failures = pd.read_csv(tmp_path / "out.npz.failures.csv")
    assert failures["index"].tolist() == [1, 3, 3]
    assert failures["input"].tolist() == ["'broken('", "'[CH3]'", "'[CH3]'"]
    assert "not a valid SMILES" in failures["reason"][0]
    assert failures["reason"][2].startswith("conformer 1: odd number of electrons")
    printed = capsys.readouterr()
    assert "8 conformers of 6 inputs" in printed.out
    assert "[1] 'broken(': not a valid SMILES" in printed.err
    assert sorted(f.name for f in tmp_path.iterdir()) == ["in.csv", "out.npz", "out.npz.failures.csv"]
    assert main(command) == 2
    assert "out.npz exists already" in capsys.readouterr().err


@pytest.mark.slow
def test_geometries_are_labelled_as_they_are(tmp_path):
    frames = [molecule("H2O"), molecule("CH3CHO"), molecule("H2O")]
    frames[0].positions += 100.0
    frames[2].info["charge"] = 2
    frames[2].positions[1] += 0.1
    ase.io.write(tmp_path / "a.extxyz", frames, format="extxyz")
    summary = label_file(tmp_path / "a.extxyz", tmp_path / "xyz.npz")
    assert (summary.inputs, summary.conformers, summary.failures) == (3, 3, [])
    data = assert_labels_belong_to_positions(tmp_path / "xyz.npz")
    assert data.charge.tolist() == [0, 0, 2]
    for m, atoms in enumerate(frames):
        batch, _ = data.batch(np.array([m]))
        expected = atoms.positions - atoms.positions.mean(0)
        np.testing.assert_allclose(batch.positions, expected, atol=6e-4)
    with np.load(tmp_path / "xyz.npz") as arrays:
        assert arrays["kind"].tolist() == [ConformerKind.BROUGHT] * 3
    assert not (tmp_path / "xyz.npz.failures.csv").exists()
    records = sdf(tmp_path / "a.sdf", [("CCO", 0, {}), ("CN", 1, {})])
    records.write_text(records.read_text() + "nonsense\n$$$$\n")
    summary = label_file(records, tmp_path / "sdf.npz", settings=ConformerSettings(n_conformers=3))
    assert (summary.inputs, summary.conformers) == (3, 2)
    assert [(f.index, f.input) for f in summary.failures] == [(2, "<unreadable record>")]
    assert_labels_belong_to_positions(tmp_path / "sdf.npz")


RUN = """
import sys
from pathlib import Path
from skmol3d.trainer.data import labelling
labelling.CHUNK = 2
done = labelling.label_file(Path(sys.argv[1]), Path(sys.argv[2]), n_jobs=int(sys.argv[3]))
print(done.inputs, done.conformers, done.resumed, len(done.failures))
assert "torch" not in sys.modules
"""


def run(source, out, n_jobs):
    return [sys.executable, "-c", RUN, str(source), str(out), str(n_jobs)]


def kill_after(command, parts, count):
    """Run until `count` parts are there, then kill it and its workers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while len(list(parts.glob("part_?????????.npz"))) < count:
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.005)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()


@pytest.mark.slow
def test_killed_runs_lose_and_double_nothing(tmp_path):
    source = tmp_path / "in.smi"
    source.write_text("".join(f"{'C' * (k % 3)}{'O' if k % 5 else '(broken'}\n" for k in range(60)))
    whole = subprocess.run(run(source, tmp_path / "whole.npz", 1), check=True, capture_output=True)
    assert whole.stdout.split() == [b"60", b"48", b"0", b"12"]
    out, parts = tmp_path / "out.npz", tmp_path / "out.npz.parts"
    for count in (3, 9):
        kill_after(run(source, out, 2), parts, count)
        assert not out.exists()
    kept = {file: file.stat().st_mtime_ns for file in parts.glob("part_*.npz")}
    (parts / "part_000000058.npz.partial").write_bytes(b"half a part")
    again = subprocess.run(run(source, out, 2), check=True, capture_output=True, text=True)
    inputs, conformers, resumed, failures = map(int, again.stdout.split())
    assert (inputs, conformers, failures) == (60, 48, 12)
    assert resumed == 2 * len(kept) >= 18
    with np.load(out) as one, np.load(tmp_path / "whole.npz") as other:
        assert set(one) == set(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], strict=True)
        assert one["row"].tolist() == [k for k in range(60) if k % 5]
    tables = [(tmp_path / f"{name}.npz.failures.csv").read_text() for name in ("out", "whole")]
    assert tables[0] == tables[1]
    assert pd.read_csv(tmp_path / "out.npz.failures.csv")["index"].tolist() == list(range(0, 60, 5))


@pytest.mark.slow
def test_finished_parts_are_not_computed_again(table, tmp_path, monkeypatch):
    monkeypatch.setattr(labelling, "CHUNK", 2)
    seen = []
    real = labelling._in_processes

    def stop_after_two(*arguments):
        for k, (start, size, result) in enumerate(real(*arguments)):
            if k == 2:
                raise KeyboardInterrupt
            seen.append(start)
            yield start, size, result

    monkeypatch.setattr(labelling, "_in_processes", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        label_file(table, tmp_path / "out.npz", "Structure")
    monkeypatch.setattr(labelling, "_in_processes", real)
    first = set(seen)
    assert len(first) == 2
    stamps = {f.name: f.stat().st_mtime_ns for f in (tmp_path / "out.npz.parts").glob("part*")}
    merged = labelling._merge

    def look(parts, count):
        now = {f.name: f.stat().st_mtime_ns for f in parts.glob("part*")}
        assert {k: now[k] for k in stamps} == stamps
        assert len(now) == 3
        return merged(parts, count)

    monkeypatch.setattr(labelling, "_merge", look)
    assert label_file(table, tmp_path / "out.npz", "Structure").resumed == 4


@pytest.mark.parametrize("removed", [0, 1, 3])
def test_a_run_that_was_killed_while_it_cleaned_up_ends_in_order(table, tmp_path, monkeypatch, removed):
    """It had its output; the same command said that the output exists, and its parts stayed for ever."""
    monkeypatch.setattr(labelling, "CHUNK", 2)
    out, real = tmp_path / "out.npz", Path.unlink
    left = [removed]

    def killed(path, *arguments, **options):
        if path.parent.name == "out.npz.parts":
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        real(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            label_file(table, out, "Structure")
    written = out.read_bytes()
    summary = label_file(table, out, "Structure")
    assert (summary.inputs, summary.resumed) == (len(SMILES), len(SMILES) - 2 * removed)
    assert out.read_bytes() == written
    assert sorted(f.name for f in tmp_path.iterdir()) == ["in.csv", "out.npz", "out.npz.failures.csv"]
    with pytest.raises(FileExistsError, match="exists already"):
        label_file(table, out, "Structure")


def test_parts_of_another_task_are_refused(table, tmp_path):
    out = tmp_path / "out.npz"
    parts = tmp_path / "out.npz.parts"
    labelling._begin(parts, table, {"column": "Structure", "chunk": 32, "n_conformers": 1})
    with pytest.raises(ValueError, match=r"out\.npz\.parts: begun with another .*random_state.*; remove"):
        label_file(table, out, "Structure")
    (parts / "settings.json").unlink()
    (parts / "part_000000000.npz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"parts without settings\.json"):
        label_file(table, out, "Structure")


def test_another_input_is_noticed(table, tmp_path):
    parts = tmp_path / "out.npz.parts"
    labelling._begin(parts, table, {})
    labelling._begin(parts, table, {})
    table.write_text(table.read_text() + "CC\n")
    with pytest.raises(ValueError, match="begun with another input; remove the folder"):
        labelling._begin(parts, table, {})


class Bomb:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (3,)


@pytest.mark.slow
def test_an_input_that_takes_its_process_down_is_found():
    chunks = [(0, ["C", "N", Bomb(), "O"]), (4, ["CO", StructureError("no record")])]
    results = labelling._in_processes(iter(chunks), ConformerSettings(), 2, None)
    rows, failures = [], []
    for _, _, (more_rows, more_failures) in sorted(results, key=lambda item: item[0]):
        rows += more_rows
        failures += more_failures
    assert [row["row"] for row in rows] == [0, 1, 3, 4]
    assert [(f.index, f.input) for f in failures] == [(2, "<Bomb>"), (5, "<unreadable record>")]
    assert "process died" in failures[0].reason


@pytest.mark.slow
def test_too_large_for_the_packed_positions(tmp_path):
    far = molecule("H2O")
    far.positions[0, 0] += 80.0
    ase.io.write(tmp_path / "a.xyz", [far, molecule("H2O")], format="extxyz")
    summary = label_file(tmp_path / "a.xyz", tmp_path / "out.npz")
    assert [f.index for f in summary.failures] == [0]
    assert re.search(r"an atom 53\.\d Å from the centroid", summary.failures[0].reason)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{table}", "out.npy"], "out.npy: labels go to a .npz file"),
        (["{table}", "out.npz", "--smiles-column", "x"], "no column 'x'; there are: Structure"),
        (["missing.xyz", "out.npz"], "missing.xyz"),
        (["a.pdf", "out.npz"], "a.pdf: unknown file type; expected .smi, .csv, .tsv, .sdf"),
    ],
)
def test_mistakes(table, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["label", *(text.format(table=table) for text in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("skmol3d label: ")
    assert message in error
    assert not (tmp_path / "out.npz").exists()


def test_without_tblite(table, tmp_path, monkeypatch):
    def absent(name):
        raise labelling.PackageNotFoundError(name)

    real = labelling.version
    monkeypatch.setattr(labelling, "version", lambda name: absent(name) if name == "tblite" else real(name))
    with pytest.raises(ImportError, match=r'pip install "skmol3d\[labels\]"'):
        label_file(table, tmp_path / "out.npz", "Structure")
