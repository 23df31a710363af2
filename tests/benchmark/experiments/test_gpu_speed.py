"""The table of speeds on a GPU, here of the CPU: conformers that travel, batches, and what cannot be told."""

import numpy as np
import pytest
import torch

from skmol3d import hub
from skmol3d.benchmark.experiments import gpu_speed
from skmol3d.inference import Item
from skmol3d.structures import ConformerSettings, atom_environments, generate, read_molecule

SMILES = ["CCO", "C[NH3+]", "c1ccccc1O"]


@pytest.fixture
def file(tmp_path):
    table = tmp_path / "molecules.csv"
    table.write_text("smiles\n" + "\n".join(SMILES) + "\n")
    made = tmp_path / "conformers.npz"
    gpu_speed.main([str(made), "--write", str(table)])
    return made


def test_conformers_travel_as_featurizers_make_them(file):
    molecules = [read_molecule(text) for text in SMILES]
    made = list(generate(molecules, ConformerSettings(), 1))
    read = gpu_speed.read_conformers(file)
    assert len(read) == len(made) == 3
    for item, conformer, molecule in zip(read, made, molecules, strict=True):
        assert isinstance(item, Item)
        assert item.charge == conformer.charge
        np.testing.assert_array_equal(item.numbers, conformer.numbers)
        np.testing.assert_allclose(item.positions, conformer.positions[0], atol=1e-5)
        np.testing.assert_array_equal(item.bonds, conformer.bonds)
        np.testing.assert_array_equal(item.environments, atom_environments(molecule.mol))
    encoder = hub.from_pretrained("rem3di-small")
    rows, reasons, _ = gpu_speed.encode(encoder, read, torch.device("cpu"), 512)
    assert not reasons
    assert np.isfinite(rows).all()


def test_the_table_has_a_row_per_model_and_a_column_per_size(file, capsys):
    options = ["--model", "ec-xtb-small", "--device", "cpu", "--seconds", "0"]
    gpu_speed.main([str(file), *options, "--atoms", "8", "--atoms", "64", "--cpu-molecules", "2"])
    lines = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    header, _, row = [[cell.strip() for cell in line] for line in lines]
    assert header == ["model", "one CPU core, batches of 512 atoms", "GPU, 8", "GPU, 64"]
    assert row[0] == "ec-xtb-small"
    assert all(float(cell) > 0 for cell in row[1:])


def test_a_batch_that_does_not_fit_is_told(file, monkeypatch):
    monkeypatch.setattr(gpu_speed, "encode", lambda encoder, items, device, atoms: (None, {}, atoms // 2))
    items = gpu_speed.read_conformers(file)
    assert gpu_speed.rate(None, items, torch.device("cpu"), 64, 0.0) == "memory ends at 32 atoms"


def test_a_machine_without_the_device_is_told(file, monkeypatch):
    monkeypatch.setattr(gpu_speed, "find_device", lambda _: None)
    with pytest.raises(SystemExit, match="no cuda here"):
        gpu_speed.main([str(file)])
