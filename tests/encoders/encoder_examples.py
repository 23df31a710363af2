"""Double-precision batches and small random encoders for the tests of `skmol3d.encoders`."""

from dataclasses import replace

import numpy as np
import torch
from ase.build import molecule
from scipy.spatial.transform import Rotation

from skmol3d.encoders import REM3DI, AtomBatch, EGNNConfig, EquivariantTransformerConfig, REM3DIConfig
from skmol3d.encoders.backbones import EquivariantConvolutionConfig
from skmol3d.structures import ConformerSettings, atom_environments, embed, read_molecule

BACKBONE = EquivariantTransformerConfig(width=12, layers=2, heads=3, radial=8)
EGNN_BACKBONE = EGNNConfig(width=12, layers=3, channels=4, radial=8)
CONVOLUTION = EquivariantConvolutionConfig(width=12, vectors=6, layers=2, filters=4, radial=8)


def example(name, charge=0.0):
    """(numbers, positions, charge, bonds) of a molecule of ASE's g2 set; close atoms are bonded."""
    atoms = molecule(name)
    hydrogens = np.outer(atoms.numbers == 1, atoms.numbers == 1)
    close = atoms.get_all_distances() < np.where(hydrogens, 1.0, 1.7)
    bonds = np.argwhere(np.triu(close, 1))
    return atoms.numbers, atoms.positions, charge, bonds


def collate(*molecules):
    """`AtomBatch` in double precision, positions untouched."""
    batch = AtomBatch.from_arrays(molecules)
    positions = np.concatenate([np.asarray(m[1], float) for m in molecules])
    return replace(batch, positions=torch.from_numpy(positions), charge=batch.charge.double())


def moved(item, matrix=None, shift=(0.0, 0.0, 0.0)):
    numbers, positions, *rest = item
    matrix = np.eye(3) if matrix is None else matrix
    return numbers, np.asarray(positions, float) @ matrix.T + shift, *rest


def reordered(item, order):
    numbers, positions, charge, bonds, *environments = item
    bonds = None if bonds is None else np.argsort(order)[bonds]
    return numbers[order], positions[order], charge, bonds, *(e[order] for e in environments)


def embedded(smiles, random_state=0, relax="mmff"):
    """(numbers, positions, charge, bonds, environments) of a conformer."""
    molecule = read_molecule(smiles)
    made = embed(molecule, ConformerSettings(relax=relax, random_state=random_state))
    positions = made.positions[0].astype(float)
    return made.numbers, positions, made.charge, made.bonds, atom_environments(molecule.mol)


def rotation(seed=0):
    return Rotation.random(random_state=seed).as_matrix()


def seeded(make, seed=0):
    """``make()`` with seeded weights in double precision, and no weight left at a zero it starts from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make().double().eval()
        for parameter in module.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.5)
    return module.requires_grad_(False)


def excite(module):
    """Scale up what depends on positions where that starts out weak."""
    for name, parameter in module.named_parameters():
        if name.endswith("move.2.weight"):
            parameter.mul_(1000.0)
        if name.endswith("radial.mix.2.weight"):
            parameter.mul_(5.0)


def rem3di(backbone=None, backbone_config=BACKBONE, **settings):
    """Small random `REM3DI` whose features have been given typical means and spreads."""
    small = {"width": 12, "layers": 2, "heads": 2, "pair_width": 6, "radial": 8, "readout": 16, "seeds": 2}
    config = REM3DIConfig(**{"backbone": backbone_config, "chiral": 5, **small, **settings})
    encoder = seeded(lambda: REM3DI(config, backbone))
    excite(encoder)
    features = encoder.backbone(collate(*map(example, ("CH3CONH2", "CH3CH2OH"))))
    encoder.scalar_mean.copy_(features.scalars.mean(0))
    encoder.scalar_std.copy_(features.scalars.std(0))
    encoder.vector_rms.copy_(features.vectors.square().mean((0, 1)).sqrt())
    return encoder
