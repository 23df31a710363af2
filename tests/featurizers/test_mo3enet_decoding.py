"""Mo3ENet's rows back into molecules, and how well."""

import dataclasses

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from rdkit import Chem
from scipy.spatial.transform import Rotation

from skmol3d import Mo3ENetFeaturizer, hub
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.mo3enet import Mo3ENet
from skmol3d.encoders.mo3enet.decoder import Embedding, Swarm
from skmol3d.encoders.mo3enet.match import Target, match
from skmol3d.featurizers import FeaturizationError, cache

K = 80
NAMES = ["CH3CH2OH", "CH3CONH2", "C6H6", "CH4", "CO2", "H2O", "C5H5N", "HCOOH", "N"]


@pytest.fixture
def make(tiny_mo3enet):
    cache.clear()
    return lambda **params: Mo3ENetFeaturizer(**{"model": tiny_mo3enet, "device": "cpu", **params})


@pytest.fixture(scope="module")
def molecules():
    return [molecule(name) if name != "N" else Atoms("N") for name in NAMES]


def other(tiny_mo3enet, folder, **changes):
    config = dataclasses.replace(hub.from_pretrained(tiny_mo3enet).config, **changes)
    return str(hub.save_pretrained(Mo3ENet(config), folder, card="another one"))


# --- decoding --------------------------------------------------------------------------------------------


def test_inverse_transform_is_the_decoder_on_the_row(make, molecules, tiny_mo3enet):
    encoder = hub.from_pretrained(tiny_mo3enet)
    featurizer = make(output="vector")
    rows = featurizer.transform(molecules)
    structures = featurizer.inverse_transform(rows)
    assert len(structures) == len(molecules)
    for row, atoms in zip(torch.from_numpy(rows), structures, strict=True):
        with torch.inference_mode():
            swarm = encoder.decode(Embedding(row[None, 3 * K :], row[: 3 * K].view(1, 3, K)))
            expected = encoder.atoms(swarm)
        assert len(atoms)
        np.testing.assert_array_equal(atoms.numbers, expected.numbers)
        np.testing.assert_allclose(atoms.positions, expected.positions, atol=1e-4)


def test_decoded_atoms_turn_with_the_rows(make, molecules):
    featurizer = make(output="vector")
    rows = featurizer.transform(molecules[:2])
    matrix = -Rotation.random(random_state=9).as_matrix()
    before = featurizer.inverse_transform(rows)
    after = featurizer.inverse_transform(featurizer.rotate(rows, matrix))
    for one, two in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.numbers, two.numbers)
        np.testing.assert_allclose(one.positions @ matrix.T, two.positions, atol=1e-3)


def exact_decoder(monkeypatch, structures):
    """Decode whatever comes to the given molecules: one point for each atom."""

    def decode(self, embedding):
        size = max(map(len, structures))
        batch = len(embedding.scalars)
        positions = torch.zeros(batch, size, 3)
        presence = torch.full((batch, size), -20.0)
        elements = torch.zeros(batch, size, len(self.elements))
        for i, atoms in enumerate(structures[:batch]):
            positions[i, : len(atoms)] = torch.from_numpy(atoms.positions).float()
            presence[i, : len(atoms)] = 20.0
            elements[i, torch.arange(len(atoms)), self.place[torch.from_numpy(atoms.numbers)]] = 20.0
        return Swarm(positions, presence, elements)

    monkeypatch.setattr(Mo3ENet, "decode", decode)


def test_bonds_are_perceived(make, molecules, monkeypatch):
    good = [molecule("CH3CONH2"), molecule("C5H5N"), molecule("HCOOH")]
    exact_decoder(monkeypatch, good)
    featurizer = make(output="vector")
    rows = featurizer.transform(molecules[:3])
    mols = featurizer.inverse_transform(rows, bonds=True)
    assert [Chem.MolToSmiles(Chem.RemoveHs(mol)) for mol in mols] == ["CC(N)=O", "c1ccncc1", "O=CO"]
    np.testing.assert_allclose(
        np.sort(mols[0].GetConformer().GetPositions(), axis=0), np.sort(good[0].positions, axis=0), atol=1e-4
    )


def test_what_cannot_be_decoded_is_named(make, molecules, monkeypatch):
    radical, nothing = Atoms("CH", [[0, 0, 0], [0, 0, 1.1]]), Atoms()
    exact_decoder(monkeypatch, [molecule("H2O"), nothing, radical])
    featurizer = make(output="vector")
    rows = featurizer.transform(molecules[:4])
    rows[1] = np.nan
    with pytest.raises(
        ValueError, match=r"3 of 4 rows could not be decoded:\n  \[1\] not finite\n  \[2\] the dec"
    ):
        featurizer.inverse_transform(rows, bonds=True)
    featurizer.set_params(errors="nan")
    water, *others = featurizer.inverse_transform(rows, bonds=True)
    assert water.GetNumBonds() == 2
    assert others == [None, None, None]
    assert featurizer.failures_["index"].tolist() == [1, 2, 3]
    assert "no bonds can be perceived" in featurizer.failures_["reason"][2]
    assert featurizer.inverse_transform(rows)[3].get_chemical_formula() == "CH"
    assert featurizer.failures_["index"].tolist() == [1, 2]


def test_no_bonds_without_hydrogens(make, tiny_mo3enet, tmp_path):
    featurizer = make(model=other(tiny_mo3enet, tmp_path, hydrogens=False), output="vector")
    with pytest.raises(ValueError, match="no hydrogens"):
        featurizer.inverse_transform(featurizer.transform(["CCO"]), bonds=True)


# --- quality ---------------------------------------------------------------------------------------------


def test_matching_rule_by_hand():
    # Carbon and oxygen among three points near the carbon, one near the oxygen, one that is nowhere.
    target = Target(torch.tensor([[[0.0, 0, 0], [3.0, 0, 0], [9.0, 9, 9]]]), torch.tensor([[0, 1, 0]]),
                    torch.tensor([[True, True, False]]))  # fmt: skip
    positions = torch.tensor([[[0.3, 0, 0], [0.0, 0.4, 0], [0.6, 0, 0], [3.0, 0.2, 0], [-5.0, 0, 0]]])
    presence = torch.logit(torch.tensor([[0.6, 0.2, 0.9, 0.3, 0.9]]))
    elements = torch.tensor([[[4.0, 0], [4.0, 0], [0, 4.0], [4.0, 0], [4.0, 0]]])
    found = match(Swarm(positions, presence, elements), target)
    assert found.matched.tolist() == [[True, True, False]]
    assert found.element.tolist() == [[True, False, False]]  # the oxygen came back as carbon
    mean = np.array([0.6 * 0.3, 0.2 * 0.4]) / 0.8
    np.testing.assert_allclose(found.deviation, [[np.hypot(*mean), 0.2, 0.0]], atol=1e-5)
    faint = Swarm(positions, presence - 1.0, elements)
    assert match(faint, target).matched.tolist() == [[True, False, False]]


def test_reconstruction_error_by_an_independent_computation(make, molecules, tiny_mo3enet, tmp_path):
    encoder = hub.from_pretrained(tiny_mo3enet)
    with torch.no_grad():  # carbon everywhere, so that some atoms are found
        encoder.decoder.head.bias.view(80, -1)[:, 1 + encoder.elements.index(6)] += 10.0
    model = str(hub.save_pretrained(encoder, tmp_path, card="carbon"))
    expected = []
    for atoms in molecules:
        item = atoms.numbers, atoms.positions, 0.0, None
        with torch.inference_mode():
            swarm = encoder.decode(encoder.embed(AtomBatch.from_arrays([item])))
        points, weights, types = (part[0].numpy() for part in (swarm.positions, swarm.weights, swarm.types))
        deviations = []
        for number, place in zip(atoms.numbers, atoms.positions - atoms.positions.mean(0), strict=True):
            near = np.linalg.norm(points - place, axis=1) <= 0.5
            deviation = 0.5
            if weights[near].sum() >= 0.25:
                share = weights[near] / weights[near].sum()
                if encoder.elements[(share @ types[near]).argmax()] == number:
                    deviation = np.linalg.norm(share @ points[near] - place)
            deviations.append(deviation)
        expected.append(np.mean(deviations))
    errors = make(model=model, output="vector").reconstruction_error(molecules)
    np.testing.assert_allclose(errors, expected, atol=1e-4)
    assert errors.dtype == np.float32
    assert min(expected) < 0.5


def test_reconstruction_error_of_a_perfect_decoder_is_zero(make, molecules, monkeypatch):
    centred = [Atoms(a.numbers, a.positions - a.positions.mean(0)) for a in molecules]
    for atoms in centred:
        exact_decoder(monkeypatch, [atoms])
        assert make().reconstruction_error([atoms])[0] < 1e-5
        moved = Atoms(atoms.numbers, atoms.positions + np.array([0.3, 0.0, 0.4]))
        exact_decoder(monkeypatch, [moved])
        cache.clear()
        np.testing.assert_allclose(make().reconstruction_error([atoms]), [0.5], atol=1e-5)


def test_reconstruction_error_reports_failures(make):
    featurizer = make(output="norm", errors="nan")
    errors = featurizer.reconstruction_error(["CCO", "C(", "CN"])
    assert np.isnan(errors).tolist() == [False, True, False]
    assert featurizer.failures_["index"].tolist() == [1]
    with pytest.raises(FeaturizationError, match="1 of 2"):
        make().reconstruction_error(["CCO", "C("])
    # Of several conformers the mean, also where rows keep them apart.
    pooled = [
        make(n_conformers=2, conformer_pooling=p).reconstruction_error(["CCCO"]) for p in ("mean", "all")
    ]
    np.testing.assert_array_equal(*pooled)


def test_molecules_that_are_not_found_again_are_refused(make, molecules, monkeypatch):
    centred = [Atoms(a.numbers, a.positions - a.positions.mean(0)) for a in molecules[:3]]
    exact_decoder(monkeypatch, centred[:1])
    sloppy = make(output="vector", errors="nan")
    plain = sloppy.transform(centred)
    assert sloppy.failures_.empty
    strict = make(output="vector", errors="nan", max_reconstruction_error=0.3)
    found = [strict.transform([atoms]) for atoms in centred]  # each is decoded to the first of them
    np.testing.assert_allclose(found[0], plain[:1], atol=1e-5)
    for k, rows in enumerate(found[1:], 1):
        assert np.isnan(rows).all()
        strict.transform([centred[k]])
        assert strict.failures_["reason"][0].startswith("decoded 0.")
        assert "more than 0.3" in strict.failures_["reason"][0]
    assert strict.get_feature_names_out().tolist() == sloppy.get_feature_names_out().tolist()
    # The limit is no part of what is cached.
    loose = strict.set_params(max_reconstruction_error=1.0)
    np.testing.assert_allclose(loose.transform(centred), plain, atol=1e-5)
    with pytest.raises(FeaturizationError, match="1 of 1 molecules could not"):
        make(max_reconstruction_error=0.3).transform(centred[1:2])
    pooled = make(
        n_conformers=2, conformer_pooling="all", errors="nan", max_reconstruction_error=1e-9
    ).transform(["CCO"])
    assert np.isnan(pooled).all()
