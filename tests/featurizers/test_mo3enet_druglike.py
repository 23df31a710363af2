"""The default checkpoint of Mo3ENet: molecules that chemists have, no jumps, no copies."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from skmol3d import Mo3ENetFeaturizer
from skmol3d.benchmark.experiments.smoothness import changes, copied

DRUGS = [
    "Cc1ccc(cc1)S(=O)(=O)NC(=O)NN1CC2CCCC2C1",  # gliclazide
    "CC(C)c1nc(CN(C)C(=O)NC(C(C)C)C(=O)O)cs1",
    "O=C(O)c1ccc(cc1Cl)-c1nc(N2CCOCC2)nc(n1)N1CCN(CC1)C(=O)c1ccccc1F",
    "C[Si](C)(C)CCOCn1cc(Br)nc1I",
]
NAMES = ["CH3CONH2", "CH3CH2OH", "C5H5N", "HCOOH", "CH3CH2Cl", "CH3SCH3", "C4H4NH", "CH3NO2"]


@pytest.fixture(scope="module")
def featurizer():
    return Mo3ENetFeaturizer(output="vector", device="cpu").fit([])


@pytest.fixture(scope="module")
def small():
    return Mo3ENetFeaturizer("mo3enet-small", output="vector", device="cpu").fit([])


def test_drugs_get_rows_by_default_and_others_a_reason():
    featurizer = Mo3ENetFeaturizer(errors="nan", device="cpu")
    rows = featurizer.fit_transform([*DRUGS, "C" * 41, "C[As](C)C"])
    assert np.isfinite(rows[: len(DRUGS)]).all()
    assert np.isnan(rows[len(DRUGS) :]).all()
    assert "41 heavy atoms, more than the 40 points" in featurizer.failures_.reason.iloc[0]
    assert "As" in featurizer.failures_.reason.iloc[1]


def test_rows_turn_with_the_molecule(featurizer):
    molecules = [molecule(name) for name in NAMES]
    R = Rotation.from_rotvec([0.3, -1.0, 0.5]).as_matrix() @ np.diag([1.0, 1.0, -1.0])
    turned = [Atoms(a.numbers, a.positions @ R.T + 1.0) for a in molecules]
    expected = featurizer.rotate(featurizer.transform(molecules), R)
    np.testing.assert_allclose(featurizer.transform(turned), expected, atol=2e-3)


def path(name="CH3CONH2", atom=1, count=150):
    """A molecule of which one atom moves by 0.01 Å from each structure to the next."""
    atoms = molecule(name)
    for k in range(count):
        x = atoms.positions.copy()
        x[atom] += 0.01 * k * np.array([0.0, 0.8, 0.6])
        yield Atoms(atoms.numbers, x)


def test_rows_are_smooth_where_the_cheapest_assignment_changes(featurizer, small):
    structures, others = list(path()), [molecule(name) for name in NAMES]
    unlike = np.median(pdist(featurizer.transform(others)))
    moves = np.linalg.norm(np.diff(featurizer.transform(structures), axis=0), axis=1)
    jumps = np.linalg.norm(np.diff(small.transform(structures), axis=0), axis=1)
    assert jumps.max() > 20 * np.median(jumps)  # the path is one on which the assignment changes
    assert moves.max() < 5 * np.median(moves)
    assert moves.max() < 0.1 * unlike


def test_noise_moves_rows_little_and_no_atom_is_copied(featurizer, small):
    molecules = [molecule(name) for name in NAMES if name != "CH3CH2Cl" and name != "CH3SCH3"]
    assert np.median(changes(featurizer, molecules)) < 0.1
    nearest, relative = copied(featurizer, molecules)
    assert nearest > 0.3
    assert relative > 0.2
    assert copied(small, molecules)[0] < 0.01
