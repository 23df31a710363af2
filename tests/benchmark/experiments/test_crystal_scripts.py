"""Scripts on crystals and on QM9: labels are what they say, and nothing leaks from test to training."""

import numpy as np
import pytest
from ase.build import molecule

from skmol3d.benchmark.experiments import crystal_energies, crystal_ranking
from skmol3d.calculator import PotentialCalculator
from skmol3d.crystals.energies import RigidCrystals, buckingham, lattice_energies, lattice_energy
from skmol3d.crystals.synthesis import Synthesis
from skmol3d.hub import from_pretrained
from skmol3d.trainer.data.synthetic_crystals import TARGETS, make_part, read_parts

MOLECULES = [molecule(name) for name in ("CH3CH2OH", "CH3CN", "CH3OCH3")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two parts, of two molecules and of one."""
    out = tmp_path_factory.mktemp("crystals")
    pairs = [(atoms.numbers, atoms.positions) for atoms in MOLECULES]
    settings = Synthesis(steps=15, copies=2, cutoff=6.0)
    make_part(out / "part_0000.npz", pairs[:2], settings, "et-xtb-small", seed=0)
    make_part(out / "part_0001.npz", pairs[2:], settings, "et-xtb-small", seed=1)
    return out


def test_labels_are_those_of_the_crystals(folder):
    crystals, energies, molecules = read_parts(folder)
    assert molecules.tolist() == [0, 1, 0, 0, 1, 1, 2, 2, 2]
    for crystal, k in zip(crystals, molecules, strict=True):
        assert sorted(crystal.molecules[0].numbers) == sorted(MOLECULES[k].numbers)
    soft = lattice_energies(RigidCrystals.from_crystals(crystals), buckingham)
    np.testing.assert_allclose(energies[:, 0], soft, rtol=1e-3, atol=0.5)  # in single precision
    calculator = PotentialCalculator(from_pretrained("et-xtb-small"))
    hard = [lattice_energy(crystal, calculator) for crystal in crystals]
    np.testing.assert_allclose(energies[:, 1], hard, atol=2e-3)


def test_a_part_is_the_same_again(folder, tmp_path):
    pairs = [(atoms.numbers, atoms.positions) for atoms in MOLECULES[2:]]
    again = tmp_path / "part_0000.npz"
    make_part(again, pairs, Synthesis(steps=15, copies=2, cutoff=6.0), "et-xtb-small", seed=1)
    with np.load(again) as one, np.load(folder / "part_0001.npz") as other:
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])


def test_no_crystals(tmp_path):
    with pytest.raises(FileNotFoundError, match="no part_"):
        read_parts(tmp_path)


def test_molecules_are_not_split():
    molecules = np.repeat(np.arange(40), 3)
    parts = crystal_energies.split(molecules)
    assert sorted(np.concatenate(parts)) == list(range(120))
    held = [set(molecules[part]) for part in parts]
    assert [len(each) for each in held] == [32, 4, 4]


@pytest.mark.slow
def test_embeddings_are_compared_by_what_they_know():
    rng = np.random.default_rng(0)
    molecules = np.repeat(np.arange(60), 5)
    energies = np.stack([-800 + 50 * rng.normal(size=300), rng.normal(size=300)], 1)
    rows = {
        "nothing": rng.normal(size=(300, 4)),
        "all": np.concatenate([energies, rng.normal(size=(300, 2))], 1),
    }
    table, kept = crystal_energies.compare(rows, energies, molecules, epochs=40)
    found = {name: crystal_energies.correlations(*kept[name][1:]) for name in rows}
    assert found["all"].min() > 0.8
    assert np.abs(found["nothing"]).max() < 0.6
    assert kept["all"][0].network_.config.targets == TARGETS
    assert f"{found['all'][1]:.3f}" in table


def test_comparison_prints_and_plots(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(crystal_energies, "SETTINGS", [{"dropout": 0.1}])
    whole = np.arange(9)
    monkeypatch.setattr(crystal_energies, "split", lambda molecules: (whole, whole, whole))
    arguments = [str(folder), "--epochs", "2", "--plot", str(tmp_path / "parity.png")]
    crystal_energies.main(arguments)
    out = capsys.readouterr().out
    assert all(f"| {name} |" in out for name in crystal_energies.EMBEDDINGS)
    assert (tmp_path / "parity.png").stat().st_size > 10_000
    assert "| mo3enet | 281 |" in out


@pytest.mark.slow
def test_structures_before_and_after_relaxation_stay_together():
    """Energies that only the structure's name decides: a fold with its twin would know them."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 2)
    X, y = rng.normal(size=(30, 6))[groups], rng.normal(size=30)[groups]
    found = crystal_ranking.predictions(X, y, groups, seed=0)
    rank, r, error = crystal_ranking.scores(found, y)
    assert rank < 0.5
    assert r < 0.5
    assert error > 0.5
    linear = crystal_ranking.predictions(X, X[:, 0] - X[:, 3], groups, seed=0)
    assert crystal_ranking.scores(linear, X[:, 0] - X[:, 3])[0] > 0.95
