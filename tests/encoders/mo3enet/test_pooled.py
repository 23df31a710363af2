"""PooledMo3ENet: turns with the molecule, knows no order of atoms, changes smoothly, refuses with a name."""

import dataclasses

import numpy as np
import pytest
import torch
from encoder_examples import collate, embedded, example, moved, reordered, rotation, seeded

from skmol3d import hub
from skmol3d.encoders import ENCODERS, config_from_dict, config_to_dict
from skmol3d.encoders.backbones import EquivariantConvolutionConfig
from skmol3d.encoders.mo3enet import Mo3ENet, Mo3ENetConfig
from skmol3d.encoders.mo3enet.decoder import EMLPDecoderConfig, MixingDecoderConfig
from skmol3d.encoders.mo3enet.pooled import PooledMo3ENet, PooledMo3ENetConfig

BACKBONE = EquivariantConvolutionConfig(width=16, vectors=8, layers=2, filters=3, radial=6)
SMALL = {"width": 16, "vectors": 6, "messages": 8, "radial": 8, "readout": 6, "context": 12, "embedding": 5}
NAMES = ["CH3CONH2", "CH3CH2OH", "C5H5N", "C6H6", "CH4", "CO2", "H2", "CH3SCH3", "SiH4", "ClF3"]
MOTIONS = {
    "rotation": rotation(1),
    "inversion": -np.eye(3),
    "reflection": rotation(2) @ np.diag([1, 1, -1.0]),
}


def network(**settings):
    decoder = MixingDecoderConfig(width=20, layers=2)
    made = {"backbone": BACKBONE, "swarm": 12, "decoder": decoder, **SMALL, **settings}
    return seeded(lambda: PooledMo3ENet(PooledMo3ENetConfig(**made))).eval()


def double(batch):
    return dataclasses.replace(batch, positions=batch.positions.double(), charge=batch.charge.double())


@pytest.mark.parametrize("hydrogens", [True, False])
@pytest.mark.parametrize("motion", MOTIONS)
def test_embedding_and_decoding_turn_with_the_molecule(motion, hydrogens):
    items = [example(name) for name in NAMES]
    model = network(hydrogens=hydrogens).double()
    matrix = torch.from_numpy(MOTIONS[motion])
    one = double(collate(*items))
    other = double(collate(*(moved(item, MOTIONS[motion], [1.0, -2.0, 3.0]) for item in items)))
    before, after = model.embed(one), model.embed(other)
    close = {"rtol": 1e-6, "atol": 1e-6}  # positions passed through single precision
    torch.testing.assert_close(after.vectors, matrix @ before.vectors, **close)
    torch.testing.assert_close(after.scalars, before.scalars, **close)
    torch.testing.assert_close(model(other), model(one), **close)
    swarm, turned = model.decode(before), model.decode(after)
    torch.testing.assert_close(turned.positions, swarm.positions @ matrix.T, **close)
    torch.testing.assert_close(turned.presence, swarm.presence, **close)


def test_the_order_of_atoms_changes_nothing_not_even_in_symmetric_molecules():
    model = network()
    rng = np.random.default_rng(0)
    for name in NAMES:
        item = example(name)
        other = reordered(item, rng.permutation(len(item[0])))
        one, again = model.embed(collate(item)), model.embed(collate(other))
        torch.testing.assert_close(one.vectors, again.vectors, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.scalars, again.scalars, rtol=1e-4, atol=1e-5)


def test_rows_of_a_batch_are_those_of_its_molecules():
    model = network()
    items = [example(name) for name in NAMES]
    together = model(collate(*items))
    for row, item in zip(together, items, strict=True):
        torch.testing.assert_close(row, model(collate(item))[0], rtol=1e-4, atol=1e-5)
    assert together.shape[1] == sum(model.output_blocks().values())


def steps(model, batches):
    """Lengths of the steps between the embeddings of successive structures."""
    with torch.no_grad():
        embeddings = [model.embed(batch) for batch in batches]
    rows = torch.cat([torch.cat([e.vectors.flatten(1), e.scalars], 1) for e in embeddings])
    return rows.diff(dim=0).norm(dim=1)


def path(text="OCCC(F)=O", atom=0, count=300):
    """A molecule of which one atom moves by 0.01 Å from each structure to the next."""
    item = embedded(text)
    numbers, positions = np.asarray(item[0]), np.asarray(item[1], float)
    direction = np.array([0.6, 0.0, 0.8])
    for k in range(count):
        shifted = positions.copy()
        shifted[atom] += 0.01 * k * direction
        yield collate((numbers, shifted, 0.0, np.empty((0, 2), int)))


def test_no_small_move_changes_the_embedding_much():
    """Along a path on which the cheapest assignment of `Mo3ENet` changes."""
    structures = list(path())
    sizes = {"width": 16, "vectors": 6, "messages": 8, "pooled": 12, "context": 24}
    decoder = EMLPDecoderConfig(width=20, layers=1)
    assigned = seeded(
        lambda: Mo3ENet(Mo3ENetConfig(**sizes, embedding=26, swarm=24, decoder=decoder, hydrogens=False))
    ).eval()
    jumps, smooth = steps(assigned, structures), steps(network(), structures)
    assert jumps.max() > 20 * jumps.median()
    assert smooth.max() < 5 * smooth.median()
    # Half the step, about half the change: there is a derivative.
    halves = steps(network(), structures[::2])
    assert halves.max() < 2.5 * smooth.max()


def test_vectors_are_sums_over_all_atoms():
    """No vector follows one atom alone: each changes when any atom moves."""
    model = network().double()
    batch = double(collate(example("CH3CONH2")))
    positions = batch.positions.requires_grad_()
    vectors = model.embed(dataclasses.replace(batch, positions=positions)).vectors[0]
    heavy = batch.numbers > 1
    for channel in vectors.T:
        (gradient,) = torch.autograd.grad(channel.sum(), positions, retain_graph=True)
        assert (gradient[heavy].norm(dim=1) > 1e-4).all()


def test_what_it_cannot_encode_is_named():
    model = network()
    with pytest.raises(ValueError, match=r"molecule 1 of the batch: As: not among the elements"):
        model.embed(collate(example("H2O"), (np.array([33, 6]), np.eye(3)[:2], 0.0, None)))
    large = (np.full(13, 6), np.random.default_rng(0).normal(size=(13, 3)) * 5, 0.0, None)
    with pytest.raises(ValueError, match="13 atoms, more than the 12 points"):
        model.embed(collate(large))


def test_checkpoint_and_config_come_back(tmp_path):
    model = network(hydrogens=True)
    assert config_from_dict(PooledMo3ENetConfig, config_to_dict(model.config)) == model.config
    assert ENCODERS["mo3enet-pooled"] is PooledMo3ENet
    again = hub.from_pretrained(str(hub.save_pretrained(model, tmp_path, card="a test", half=False))).double()
    batch = collate(example("CH3CH2OH"))
    torch.testing.assert_close(again(batch), model(batch), rtol=1e-4, atol=1e-5)


def test_scalars_are_standardised_and_decoding_stays_the_same():
    model = network()
    batch = collate(*(example(name) for name in NAMES))
    before = model.embed(batch)
    swarm = model.decode(before)
    for _ in range(2):  # once more changes nothing
        model.standardise(model.embed(batch).scalars)
    after = model.embed(batch)
    torch.testing.assert_close(after.scalars.std(0), torch.ones(5).double(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(after.vectors, before.vectors)
    torch.testing.assert_close(model.decode(after).positions, swarm.positions)
    torch.testing.assert_close(model.decode(after).presence, swarm.presence)
