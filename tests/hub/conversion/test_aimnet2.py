"""A file of AIMNet2 becomes a checkpoint: no pickle, and the numbers of aimnet's own calculator."""

import numpy as np
import pytest
import torch
from aimnet2_examples import ARCHITECTURE, SHIFTS, aimnet2_file
from ase.build import molecule

from skmol3d import PotentialCalculator, PotentialFeaturizer
from skmol3d.hub import CheckpointError, convert, from_pretrained


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    home = tmp_path_factory.mktemp("aimnet2")
    file = aimnet2_file(home / "x.pt")
    return file, convert(file, home / "x")


@pytest.mark.filterwarnings("ignore")  # of aimnet and Warp
@pytest.mark.parametrize("charge", [0, 1])
def test_energies_and_forces_are_those_of_aimnet(files, charge):
    from aimnet.calculators import AIMNet2Calculator

    file, folder = files
    atoms = molecule("CH3CH2OH")
    atoms.info["charge"] = charge
    atoms.calc = PotentialCalculator(from_pretrained(folder))
    data = {"coord": atoms.positions, "numbers": atoms.numbers, "charge": float(charge)}
    theirs = AIMNet2Calculator(str(file), device="cpu")(data, forces=True)
    assert atoms.get_potential_energy() == pytest.approx(theirs["energy"].item(), abs=2e-3)  # float32
    np.testing.assert_allclose(atoms.get_forces(), theirs["forces"].detach().reshape(-1, 3), atol=2e-4)


def test_energies_of_isolated_atoms_become_reference_energies(files):
    potential = from_pretrained(files[1])
    assert potential.elements == tuple(SHIFTS)
    torch.testing.assert_close(potential.element_energy[list(SHIFTS)], torch.tensor(list(SHIFTS.values())))


def test_featurizers_take_it_and_refuse_elements_it_does_not_know(files):
    featurizer = PotentialFeaturizer(str(files[1]), errors="nan", device="cpu")
    rows = featurizer.fit_transform(["CCO", "CC[O-]", "CN"])
    assert rows.shape == (3, 45)
    assert np.isfinite(rows[:2]).all()
    assert featurizer.failures_["reason"][0].startswith(
        "N: not among the elements the model knows (H, C, O, Pd)"
    )
    assert "Transition metals: 1 of 29 (Pd)" in (files[1] / "README.md").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 3}, "an AIMNet2 of format 3; 2 is read"),
        ({"coulomb_mode": "full_embedded"}, "coulomb_mode 'full_embedded' is not known"),
        (
            {"model_yaml": ARCHITECTURE.replace("aimnet.models.AIMNet2", "os.system")},
            "settings cannot be read: .*os",
        ),
        ({"implemented_species": [0, 1]}, "settings cannot be read: .*elements must be atomic numbers"),
        ({"state_dict": None}, "settings cannot be read"),
        ({"d3_params": None}, "settings cannot be read"),
        (
            {"model_yaml": ARCHITECTURE.replace("[16, 12, 12]", "[16, 30000, 30000]")},
            "settings cannot be read: .*more than the [0-9]+ weights",
        ),
        ({"model_yaml": ARCHITECTURE.replace("ncomb_v: 3", "ncomb_v: 2")}, "weights that do not fit"),
        ({"implemented_species": [1, 118]}, "weights that do not fit"),  # there are 64 elements
    ],
)
def test_what_is_not_known_is_named(changes, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        convert(aimnet2_file(tmp_path / "x.pt", **changes), tmp_path / "x")


def test_tensors_of_something_else_are_no_model(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="tensors without the settings of a model that is known here"):
        convert(tmp_path / "x.pt", tmp_path / "x")
