"""The surface block: symmetries, and its quantities against RDKit, formulas and loops."""

import math

import numpy as np
import pytest
import torch
from encoder_examples import collate, embedded, moved, rem3di, reordered, rotation
from rdkit import Chem
from rdkit.Chem import rdFreeSASA

from skmol3d.encoders.rem3di.surface import COLUMNS, COULOMB, OFFSET, PARTS, WATER, Surface, exposed_areas

SMILES = [
    *("CC(=O)Nc1ccc(O)cc1", "C[C@H](N)C(=O)O", "CCCS(C)=O", "OC[C@@H](O)[C@H](O)CBr", "c1ccc2ccccc2c1"),
    *("CC(C)(C)c1ccccc1", "O=C1CCCN1", "C1CCCCC1", "CCCCCC", "Clc1ccccc1Cl", "FC(F)(F)c1cccnc1", "CC#N"),
    *("CN(C)C=O", "c1ccsc1", "O=C(O)c1ccccc1O", "CCOC(=O)C", "NC(N)=O", "C1CC1", "CCN(CC)CC", "Cn1ccnc1"),
    *("OCC(O)CO", "CC(=O)C", "c1ccc(cc1)c1ccccc1", "CSCCC#N", "C=CC=C", "O=[N+]([O-])c1ccccc1", "IC1CCCC1"),
    *("C1CN2CCC1CC2", "NS(=O)(=O)c1ccccc1", "CC(C)CC(N)C(=O)O", "C[N+](C)(C)CC(=O)[O-]", "COc1ccccc1"),
]


@pytest.fixture(scope="module")
def items():
    return [embedded(text)[:4] for text in SMILES]


@pytest.fixture(scope="module")
def made():
    """Charges depend on random weights."""
    module = Surface(4).double()
    rng = torch.Generator().manual_seed(0)
    module.charge_weight.copy_(0.1 * torch.randn(module.charge_weight.shape, generator=rng))
    module.charge_bias.copy_(0.2 * torch.randn(len(module.charge_bias), generator=rng))
    return module


def scalars(batch):
    """Of each atom's number alone."""
    z = batch.numbers.double()
    return torch.stack([z.sin(), z.cos(), (2 * z).sin(), (3 * z).cos()], 1)


def rows_of(made, *items):
    batch = collate(*items)
    return made.unrounded(batch, made.charges(batch, scalars(batch)))


def named(row):
    return dict(zip(COLUMNS, row.tolist(), strict=True))


def exposed(batch):
    """Areas [B, L] and what they come from."""
    x, numbers = batch.pad(batch.positions), batch.pad(batch.numbers)
    real = batch.flat_index >= 0
    pairs = real[:, :, None] & real[:, None] & ~torch.eye(x.shape[1], dtype=torch.bool)
    distance = torch.where(pairs, (x[:, :, None] - x[:, None]).square().sum(-1), 1.0).sqrt()
    radius = Surface(1).radii.double()[numbers]
    return exposed_areas(radius, distance, pairs, batch.bonded, numbers > 1), radius, distance, pairs


def test_charges_add_up_to_the_charge_of_each_molecule(made, items):
    ions = [(*embedded(text)[:4],) for text in ("CC(=O)[O-]", "C[NH3+]", "[O-]C(=O)CC(=O)[O-]")]
    batch = collate(*items, *ions)
    charges = made.charges(batch, scalars(batch))
    sums = torch.zeros(len(batch)).double().index_add(0, batch.molecule, charges)
    torch.testing.assert_close(sums, batch.charge)
    assert sums[-3:].round().tolist() == [-1, 1, -2]
    assert charges.std() > 0.1


def test_row_knows_nothing_of_pose_mirror_order_or_neighbours(made, items):
    rows = rows_of(made, *items)
    assert rows.shape == (len(items), len(COLUMNS))
    assert len(set(COLUMNS)) == len(COLUMNS)
    rng = np.random.default_rng(0)
    for item, row in list(zip(items, rows, strict=True))[::4]:
        other = reordered(item, rng.permutation(len(item[0])))
        for matrix in (rotation(1), rotation(2) @ np.diag([1.0, 1.0, -1.0])):
            torch.testing.assert_close(
                rows_of(made, moved(other, matrix, [9.0, -3.0, 20.0]))[0], row, rtol=1e-8, atol=1e-8
            )


def test_areas_go_with_those_of_shrake_and_rupley(items):
    options = rdFreeSASA.SASAOpts(
        rdFreeSASA.SASAAlgorithm.ShrakeRupley, rdFreeSASA.SASAClassifier.Protor, 1.4
    )
    batch = collate(*items)
    areas, radius, *_ = exposed(batch)
    found, expected = [], []
    for k, (numbers, positions, _, _) in enumerate(items):
        mol = Chem.RWMol()
        conformer = Chem.Conformer(len(numbers))
        for i, number in enumerate(numbers.tolist()):
            mol.AddAtom(Chem.Atom(number))
            conformer.SetAtomPosition(i, positions[i].tolist())
        mol.AddConformer(conformer)
        rdFreeSASA.CalcSASA(mol, radius[k, : len(numbers)].tolist(), opts=options)
        expected += [float(atom.GetProp("SASA")) for atom in mol.GetAtoms()]
        found += areas[k, : len(numbers)].tolist()
    assert len(found) > 400
    assert np.corrcoef(found, expected)[0, 1] > 0.95
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.1)


def test_area_of_a_lone_atom_is_its_sphere(made):
    ion = ([17], np.zeros((1, 3)), -1, [])
    row = named(rows_of(made, ion)[0])
    radius = float(made.radii[17])
    assert row["area"] == pytest.approx(4 * math.pi * (radius + 1.4) ** 2)
    assert row["area"] == row["area_Cl_Br_I"] == -row["charge_area_Cl_Br_I"]
    assert row["volume"] == pytest.approx(4 / 3 * math.pi * radius**3)


@pytest.mark.parametrize(("number", "charge"), [(17, -1), (35, -1), (53, -1), (16, -2)])
def test_solvation_of_a_lone_ion_is_born_s_formula(made, number, charge):
    row = named(rows_of(made, ([number], np.zeros((1, 3)), charge, []))[0])
    born = float(made.radii[number]) - OFFSET
    expected = -0.5 * COULOMB * (1 - 1 / 78.5) * charge**2 / born
    for name in ("solvation", "self_solvation", "best_solvated"):
        assert row[name] == pytest.approx(expected)
    assert row["mean_Born_radius"] == row["longest_Born_radius"] == pytest.approx(born)


def test_far_apart_ions_attract_through_water_as_point_charges(made):
    """Two ions, 60 Å apart: the cross term of the generalised Born energy is Coulomb's."""
    pair = ([17, 35], np.array([[0, 0, 0], [60.0, 0, 0]]), 0, np.empty((0, 2), int))
    batch = collate(pair)
    row = named(made.unrounded(batch, torch.tensor([1.0, -1.0]).double())[0])
    cross = row["solvation"] - row["self_solvation"]
    assert cross == pytest.approx(2 * WATER / 60, rel=1e-4)


def test_columns_against_loops(made, items):
    batch = collate(*items)
    charges = made.charges(batch, scalars(batch))
    rows = made.unrounded(batch, charges)
    areas = exposed(batch)[0]
    for k in range(0, len(items), 5):
        numbers, x, _, bonds = items[k]
        q, a = charges[batch.molecule == k].tolist(), areas[k].tolist()
        neighbours = {i: set() for i in range(len(numbers))}
        for i, j in bonds:
            neighbours[i].add(int(j))
            neighbours[j].add(int(i))
        potential = [
            sum(COULOMB * q[j] / np.linalg.norm(x[i] - x[j]) for j in range(len(q)) if j != i)
            for i in range(len(q))
        ]
        row = named(rows[k])
        assert row["highest_potential"] == pytest.approx(max(potential))
        assert row["lowest_potential"] == pytest.approx(min(potential))
        assert row["highest_charge"] == pytest.approx(max(q))
        assert row["charge2_area"] == pytest.approx(sum(s * c * c for s, c in zip(a, q, strict=False)))
        assert row["potential_area"] == pytest.approx(
            sum(s * abs(v) for s, v in zip(a, potential, strict=False))
        )
        polar = [
            i for i, z in enumerate(numbers) if z == 1 and not any(numbers[j] == 6 for j in neighbours[i])
        ]
        assert row["area_polar_H"] == pytest.approx(sum(a[i] for i in polar))
        assert row["charge_area_polar_H"] == pytest.approx(sum(a[i] * q[i] for i in polar))
        centred = x - x.mean(0)
        assert row["dipole"] == pytest.approx(np.linalg.norm(np.array(q) @ centred))
        assert row["radius_of_gyration"] == pytest.approx(np.sqrt((centred**2).sum(1).mean()))
        assert row["farthest_atom"] == pytest.approx(np.linalg.norm(centred, axis=1).max())
        bonded = sum(
            math.exp(-(((np.linalg.norm(x[i] - x[j]) - 1.9) / 0.3) ** 2))
            for i in polar
            for j, z in enumerate(numbers)
            if z in (7, 8) and j not in neighbours[i]
        )
        assert row["hydrogen_bonds"] == pytest.approx(bonded)
        for what, total in (("area", "area"), ("solvation", "solvation")):
            assert sum(row[f"{what}_{part}"] for part in PARTS) == pytest.approx(row[total])


def test_columns_are_rounded_to_multiples_of_their_steps(made, items):
    batch = collate(*items)
    exact = made(batch, scalars(batch))
    torch.testing.assert_close(exact, rows_of(made, *items))  # steps of 0 round nothing
    rounding = Surface(4).double()
    rounding.load_state_dict(made.state_dict())
    rounding.step.copy_(exact.std(0) / 2)
    levels = rounding(batch, scalars(batch)) / rounding.step
    varying = rounding.step > 0
    torch.testing.assert_close(levels[:, varying], levels[:, varying].round())
    assert ((rounding(batch, scalars(batch)) - exact).abs() <= 0.5001 * rounding.step + 1e-12).all()


def test_block_of_an_encoder(items):
    encoder = rem3di(surface=True)
    sizes = encoder.output_blocks()
    assert list(sizes) == ["surface", "invariant", "chiral"]
    encoder.surface.charge_weight.normal_(generator=torch.Generator().manual_seed(0)).mul_(0.1)
    batch = collate(*items[:3])
    tokens = encoder.tokens(batch)
    charges = encoder.surface.charges(batch, tokens.standardised)
    expected = encoder.surface.unrounded(batch, charges)
    torch.testing.assert_close(encoder(batch)[:, : len(COLUMNS)], expected)
    assert charges.std() > 0
