"""Recipe kind ``crystal_energy``: the bundled checkpoint's recipe, on a handful of crystals."""

import numpy as np
import pytest
from crystal_parts import write_crystals
from recipe_examples import run

from skmol3d import CrystalEnergyRegressor, CrystalFeaturizer
from skmol3d.hub import resolve
from skmol3d.trainer.data.crystal_columns import SyntheticCrystals, embedded
from skmol3d.trainer.kinds.crystal_energy import clip, scores, split
from skmol3d.trainer.pretrain import read_recipe

SIZES = ["noisy=true", "epochs=2", "width=8", "layers=1", "batch_size=4", "validation=0.2", "held_out=0.4"]


@pytest.fixture(scope="module")
def crystals(tmp_path_factory):
    root = tmp_path_factory.mktemp("crystals")
    write_crystals(root / "made", rounds=3)
    return root


def test_the_shipped_recipe_ends_in_a_checkpoint_with_its_card(crystals, tmp_path):
    """REVIEW C6."""
    found = SyntheticCrystals.read(crystals / "made")
    data = f"data=[{{path: made, provenance: Five molecules., sha256: {found.molecules.source}}}]"
    changes = [*SIZES, data, "licence=cc0-1.0"]
    run("crystal-energy-small", crystals, tmp_path, *[o for change in changes for o in ("--set", change)])
    folder = tmp_path / "crystal-energy-small"
    model = CrystalEnergyRegressor.from_pretrained(str(folder))
    rows, whole = embedded(found, model.featurizer().fit([]))
    assert whole.all()
    assert model.network_.config.targets == ("buckingham", "mlip")
    train, _, test = split(found.parts["molecule"], 0.2, 0.4)
    wanted = clip(found.energies, found.energies[train])
    expected = scores(model.predict(rows[test]), wanted[test], np.median(wanted[train], axis=0), ("a", "b"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"| held out | {expected['a_R']:.4g} | {expected['a_mae']:.4g} |" in card
    assert f"`made` (share 1): {len(found)} crystals of 5 molecules with 3 heavy atoms. Five" in card
    assert "license: cc0-1.0" in card
    assert f"{len(train)} crystals of 2 molecules, 2 epochs" in card


def test_crystals_whose_molecule_has_no_row_are_left_out(crystals, tmp_path, tiny_mo3enet):
    found = SyntheticCrystals.read(crystals / "made")
    featurizer = CrystalFeaturizer(model=tiny_mo3enet).fit([])
    found.molecules.numbers[0][0] = 79  # an element that it does not know
    _, whole = embedded(found, featurizer)
    np.testing.assert_array_equal(whole, found.parts["molecule"] != 0)


def test_the_shipped_checkpoint_is_what_its_recipe_says():
    recipe = read_recipe("crystal-energy-small", [])
    config = CrystalEnergyRegressor.from_pretrained("crystal-energy-small").network_.config
    assert (config.width, config.layers, config.dropout) == (recipe.width, recipe.layers, recipe.dropout)
    card = " ".join((resolve("crystal-energy-small") / "README.md").read_text(encoding="utf-8").split())
    assert (config.embedding, config.output) == (recipe.embedding, recipe.output)
    assert f'`CrystalFeaturizer(Mo3ENetFeaturizer("{recipe.embedding}", output="{recipe.output}"))`' in card
    assert f"{recipe.epochs} epochs" in card
    assert f"dropout {recipe.dropout:g}, weight decay {recipe.weight_decay:g}" in card


def test_parts_of_a_split_share_no_molecule():
    molecules = np.repeat(np.arange(40), 3)
    parts = split(molecules)
    assert sorted(np.concatenate(parts)) == list(range(120))
    assert [len(set(molecules[part])) for part in parts] == [32, 4, 4]


def test_crystals_come_from_one_folder(crystals, tmp_path):
    with pytest.raises(ValueError, match="crystals come from one folder"):
        run("crystal-energy-small", crystals, tmp_path, "--set", "data={made: 1.0, other: 1.0}")
