"""Model cards say what the run knows, and nothing else (REVIEW A5)."""

import hashlib

import pytest
import yaml
from recipe_examples import POTENTIAL, run

from skmol3d.trainer.pretrain import RECIPES, is_shipped, read_recipe

CLAIMS = ("ChEMBL", "PubChem", "QM9", "tblite", "license:", "licence", "Mulliken")


def card_of(recipe, data_root, out, *options):
    run(recipe, data_root, out, *options)
    name = recipe if isinstance(recipe, str) else recipe["name"]
    return (out / name / "README.md").read_text(encoding="utf-8")


def test_a_shipped_recipe_on_data_of_ones_own_claims_nothing_of_ours(data_root, tmp_path):
    assert all(claim in (RECIPES / "et-xtb-small.yaml").read_text() for claim in CLAIMS[:4])
    (tmp_path / "xtb").mkdir()
    for name in ("drugs", "qm9_0", "qm9_1"):
        (tmp_path / "xtb" / f"{name}.npz").symlink_to(data_root / "labels.npz")
    changes = ["model.backbone.width=8", "model.backbone.heads=2", "held_out=0.2", "schedule.steps=2"]
    options = [option for change in changes for option in ("--set", change)]
    card = card_of("et-xtb-small", tmp_path, tmp_path, *options)
    assert not [claim for claim in CLAIMS if claim in card]
    assert (
        card.count("They are not the data that the recipe describes, so where they come from is unknown.")
        == 3
    )
    assert "30 conformers of 10 molecules with 3 to 7 heavy atoms; 20 mmff, 10 relaxed." in card


@pytest.fixture(scope="module")
def own(data_root, tmp_path_factory):
    """The card of a recipe that says where its data come from."""
    digest = hashlib.sha256((data_root / "labels.npz").read_bytes()).hexdigest()
    said = {"provenance": "Measured in a kitchen.", "licence": "CC-BY-4.0", "sha256": digest}
    recipe = POTENTIAL | {
        "name": "own",
        "licence": "cc-by-4.0",
        "data": [
            {"path": "labels.npz", "share": 1.0, **said},
            {"path": "labels.npz", "share": 0.5, "kinds": ["relaxed"], **said},
        ],
        "weights": {"forces": 1.0, "energy": 0.0, "charges": 2.0},
    }
    return card_of(recipe, data_root, tmp_path_factory.mktemp("own"))


def test_provenance_and_licence_come_from_the_recipe(own):
    head = yaml.safe_load(own.split("---")[1])
    assert head["license"] == "cc-by-4.0"
    assert own.count("Measured in a kitchen. Licence: CC-BY-4.0.") == 2
    assert "10 relaxed, of which relaxed train. Measured" in own


def test_objectives_without_weight_are_not_listed(own):
    (line,) = [line for line in own.splitlines() if line.startswith("- Objectives")]
    assert "`forces` (1): forces (eV/Å)" in line
    assert "`charges` (2): atomic charges (e)" in line
    assert "energy" not in line
    assert "Trained on forces (eV/Å) but not on energies" in own


def test_forces_at_minima_stand_beside_the_error_of_predicting_none(own):
    head, _, *rows = own.split("## Held-out metrics")[1].strip().splitlines()[2:]
    columns = [cell.strip() for cell in head.split("|")]
    values = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")] for row in rows}
    assert list(values) == ["labels.npz", "labels.npz, mmff", "labels.npz, relaxed"]
    minima = dict(zip(columns, values["labels.npz, relaxed"], strict=True))
    assert float(minima["zero_force_mae"]) > 0.1
    assert float(minima["force_mae"]) > 0.1
    assert minima["molecules"] == "2"


def test_the_command_is_one_that_trains_this(own, tmp_path):
    """A recipe of one's own, and a shipped one that was changed, are in the card and not in the package."""
    assert "Command: `skmol3d pretrain FILE.yaml --data DATA`, where the file has the recipe below" in own
    assert is_shipped(read_recipe("ec-xtb-small", []))
    assert not is_shipped(read_recipe("ec-xtb-small", ["held_out=0.5"]))
    text = own.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "again.yaml").write_text(text)
    again = read_recipe(str(tmp_path / "again.yaml"), [])
    assert again.weights == {"forces": 1.0, "energy": 0.0, "charges": 2.0}
