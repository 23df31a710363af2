"""A model of mace-torch in a file becomes a checkpoint: the same numbers, and no pickle ever after."""

import json

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from mace_examples import ORGANIC_ENERGIES, mace_file, mace_model

from skmol3d import PotentialCalculator
from skmol3d.encoders import Potential
from skmol3d.hub import CheckpointError, convert, from_pretrained
from skmol3d.hub.conversion.mace import read_mace


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A converted model with the weights of ``mace_model()``."""
    home = tmp_path_factory.mktemp("mace")
    return convert(mace_file(home / "mine.model"), home / "mine", trust_pickle=True)


def reference(atoms, model):
    """Energy (eV), forces (eV/Å) and features that mace-torch computes, with a neighbour list of its own."""
    from mace import data, tools

    table = tools.AtomicNumberTable(model.atomic_numbers.tolist())
    graph = data.AtomicData.from_config(
        data.config_from_atoms(atoms), z_table=table, cutoff=float(model.r_max)
    )
    batch = next(iter(tools.torch_geometric.dataloader.DataLoader([graph], batch_size=1))).to_dict()
    double = {k: v.double() if torch.is_tensor(v) and v.is_floating_point() else v for k, v in batch.items()}
    return model(double, compute_force=True, compute_stress=bool(atoms.pbc.all()))


@pytest.mark.filterwarnings("ignore")  # of mace-torch's own reading of atoms
@pytest.mark.parametrize("crystal", [False, True])
def test_energies_forces_and_stress_are_those_of_mace_torch(folder, crystal):
    atoms = molecule("CH3CH2OH")
    if crystal:
        atoms = Atoms(
            "COH",
            [[0.1, 0, 0], [0, 0.2, 1.2], [1, 1, 2]],
            cell=[[3.2, 0, 0], [0.4, 3.4, 0], [0, 0.3, 4]],
            pbc=True,
        )
    atoms.calc = PotentialCalculator(from_pretrained(folder))
    expected = reference(atoms, mace_model())
    # The checkpoint's weights are float32.
    assert atoms.get_potential_energy() == pytest.approx(expected["energy"].item(), abs=2e-4)
    np.testing.assert_allclose(atoms.get_forces(), expected["forces"].detach(), atol=1e-5)
    if crystal:
        stress = atoms.get_stress(voigt=False)
        np.testing.assert_allclose(stress, expected["stress"][0].detach(), atol=1e-5)


def test_energies_of_isolated_atoms_become_reference_energies(folder):
    potential = from_pretrained(folder)
    assert isinstance(potential, Potential)
    assert potential.elements == tuple(ORGANIC_ENERGIES)
    found = potential.element_energy[list(ORGANIC_ENERGIES)]
    torch.testing.assert_close(found, torch.tensor(list(ORGANIC_ENERGIES.values())))
    assert not any(
        name.endswith("atomic_energies") and value.any() for name, value in potential.state_dict().items()
    )


def test_layers_can_be_chosen(folder, tmp_path):
    file = mace_file(tmp_path / "mine.model")
    every = from_pretrained(folder).backbone
    last = from_pretrained(convert(file, tmp_path / "last", layers=[1], trust_pickle=True)).backbone
    assert every.sizes == (16, 8)
    assert last.sizes == (8, 1)  # a last layer has no vectors
    batch = _batch(molecule("CH3CH2OH"))
    torch.testing.assert_close(last(batch).scalars, every(batch).scalars[:, 8:])
    assert not last(batch).vectors.any()
    with pytest.raises(CheckpointError, match=r"layers must be distinct and below 2, got \(2,\)"):
        convert(file, tmp_path / "none", layers=[2], trust_pickle=True)


@pytest.mark.parametrize(
    "settings",
    [
        # As in MACE-MP-0b and later, MACE-OMOL and MACE-MH.
        {
            "interaction_cls": "RealAgnosticDensityResidualInteractionBlock",
            "interaction_cls_first": "RealAgnosticDensityInteractionBlock",
            "distance_transform": "Agnesi",
            "pair_repulsion": True,
        },
        {
            "embedding_specs": {
                "total_charge": {
                    "type": "categorical",
                    "per": "graph",
                    "num_classes": 9,
                    "emb_dim": 4,
                    "offset": 4,
                },
                "total_spin": {"type": "categorical", "per": "graph", "num_classes": 5, "emb_dim": 4},
            },
            "use_embedding_readout": True,
        },
        {"num_interactions": 1, "hidden_irreps": "8x0e"},
    ],
    ids=["density", "charge and spin", "one layer"],
)
def test_other_kinds_of_mace_convert(settings, tmp_path):
    file = mace_file(tmp_path / "x.model", **settings)
    potential = from_pretrained(convert(file, tmp_path / "x", trust_pickle=True))
    cation = molecule("CH3CH2OH")
    neutral = potential.energy(_batch(cation))
    assert neutral.isfinite().all()
    cation.info["charge"] = 1
    assert (potential.energy(_batch(cation)) != neutral).all() == ("embedding_specs" in settings)


def test_of_several_heads_one_is_chosen(tmp_path):
    file = mace_file(tmp_path / "heads.model", heads=["pt_head", "mine"])
    with pytest.raises(CheckpointError, match=rf"^{file}: it has the heads pt_head, mine: choose one with"):
        convert(file, tmp_path / "x", trust_pickle=True)
    with pytest.raises(CheckpointError, match="no head 'his', but pt_head, mine"):
        convert(file, tmp_path / "x", trust_pickle=True, head="his")
    rows = [
        from_pretrained(convert(file, tmp_path / head, trust_pickle=True, head=head))(_batch(molecule("CO")))
        for head in ("pt_head", "mine")
    ]
    assert rows[0] != rows[1]


def test_a_model_whose_settings_do_not_tell_all_is_refused(tmp_path):
    model = mace_model()
    model.interactions[1].avg_num_neighbors = 3.0  # the settings have one number for all layers
    with pytest.raises(CheckpointError, match="the copy's features differ from its own"):
        read_mace(tmp_path / "odd.model", model)


def _batch(atoms):
    from skmol3d.encoders import AtomBatch

    return AtomBatch.from_arrays([(atoms.numbers, atoms.positions, atoms.info.get("charge", 0), None)])


def test_tables_of_a_small_model_may_be_larger_than_its_weights_but_its_widths_may_not(tmp_path):
    file = mace_file(tmp_path / "x.model", max_ell=3, correlation=3, hidden_irreps="2x0e+2x1o")
    folder = convert(file, tmp_path / "x", trust_pickle=True)
    assert from_pretrained(folder).backbone.sizes == (4, 2)
    edited = json.loads((folder / "config.json").read_text())
    edited["config"]["backbone"]["hidden_irreps"] = "2000x0e+2000x1o"
    (folder / "config.json").write_text(json.dumps(edited))
    with pytest.raises(CheckpointError, match="they describe more than the"):
        from_pretrained(folder)
