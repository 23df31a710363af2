"""The authors' REM3DI, converted: the numbers that their own modules give for the same weights.

`EXPECTED` was computed once with the modules of github.com/molsuit/Rem3Di (commit 4d5dc2c; those from before,
"earlier", of 74ccdcb and 641e9ac): `AtomicDescriptorPreprocessor` in float64, then
`PairDistanceMatrixGeometricPreprocessor` and `TransformerPairEncoder` in float32, e3nn 0.4.4, in evaluation
mode, with the settings, weights and atoms of `rem3di_examples`. Not public is `pseudoscalar_paths`, which
lists the triple products of `Rem3DiPseudoScalarTP`: for vectors alone there is only one.
"""

from pathlib import Path

import pytest
import torch
from mace_examples import mace_file
from rem3di_examples import CASES, molecules, settings, states
from torch import nn

from skmol3d import REM3DIFeaturizer
from skmol3d.cli import main
from skmol3d.encoders import AtomBatch, AtomFeatures, MACEConfig
from skmol3d.encoders.published_rem3di import PublishedREM3DI
from skmol3d.hub import CheckpointError, convert, from_pretrained
from skmol3d.hub.conversion.rem3di import ATOMIC, ENCODER, GEOMETRIC, irreps, translate

EXPECTED = {
    "attention": [
        [2.33396, -4.75523, 4.03223, 0.46659, 0.11305, -3.19269],
        [2.05223, -4.4547, 2.73431, 0.64838, -0.94254, -1.44498],
    ],
    "earlier": [
        [0.09317, -0.63816, -1.74224, -1.04905, -0.85743, 0.93071],
        [0.10979, -0.6769, -1.75728, -1.073, -0.86461, 1.00184],
    ],
    "seeds, one layer of MACE": [
        [
            0.21426,
            -0.08449,
            0.40062,
            -1.76166,
            2.14699,
            -0.13805,
            -0.45722,
            0.48869,
            1.01754,
            -2.31557,
            1.71088,
            -0.84495,
            0.33752,
            -0.20749,
            0.70949,
            -1.64283,
            2.0195,
            -0.14244,
        ],
        [
            0.22403,
            -0.03333,
            0.42016,
            -1.89242,
            2.16009,
            -0.23984,
            -0.46084,
            0.50384,
            1.06161,
            -2.42346,
            1.72443,
            -0.90458,
            0.34655,
            -0.15361,
            0.72921,
            -1.76467,
            2.02533,
            -0.24186,
        ],
    ],
    "mean": [
        [3.94521, 2.9186, -0.64793, 1.27378, -0.96436, -0.17977],
        [3.93912, 3.06176, -1.29856, 0.02781, -1.64175, 0.27708],
    ],
}


class Recalled(nn.Module):
    """A backbone that knows the features of the molecules already: the chosen layers of `LAYERS`."""

    def __init__(self, layers):
        super().__init__()
        starts = {0: 0, 1: 13}
        vectors = {0: 3, 1: 2}
        features = torch.cat(molecules()[1])
        self.scalars = torch.cat([features[:, starts[k] : starts[k] + 4] for k in layers], 1)
        self.vectors = torch.cat(
            [
                features[:, starts[k] + 4 : starts[k] + 4 + 3 * vectors[k]].unflatten(1, (-1, 3)).mT
                for k in layers
            ],
            2,
        )
        self.sizes = self.scalars.shape[1], self.vectors.shape[2]

    def forward(self, batch):
        return AtomFeatures(self.scalars, self.vectors)


@pytest.mark.parametrize("case", CASES)
def test_descriptors_are_those_of_the_authors_modules(case):
    chosen = CASES[case][0]
    config, weights = translate(chosen, *states(case), MACEConfig())
    network = PublishedREM3DI(config, backbone=Recalled(config.backbone.layers or (0, 1))).eval()
    network.load_state_dict(weights)
    positions, _ = molecules()
    counts = torch.tensor([len(p) for p in positions])
    batch = AtomBatch(torch.ones(8, dtype=torch.long), torch.cat(positions), counts, torch.zeros(2))
    found = network(batch)
    assert found.shape == (2, sum(network.output_blocks().values()))
    torch.testing.assert_close(found, torch.tensor(EXPECTED[case]), atol=1e-4, rtol=1e-4)


def write(folder, case):
    """A model directory."""
    import yaml

    folder.mkdir()
    (folder / "post_training_architecture_config.yaml").write_text(yaml.safe_dump(CASES[case][0]))
    for name, state in zip((ENCODER, ATOMIC, GEOMETRIC), states(case), strict=True):
        torch.save(state, folder / name)
    return folder


@pytest.fixture(scope="module")
def mace(tmp_path_factory):
    """A converted MACE with two layers of 4x0e+4x1o, as mace-torch makes them when asked to keep vectors."""
    home = tmp_path_factory.mktemp("backbone")
    return convert(mace_file(home / "x.model", hidden_irreps="4x0e+4x1o"), home / "x", trust_pickle=True)


def test_a_model_directory_becomes_a_checkpoint_that_the_featurizer_takes(mace, tmp_path, capsys):
    source, made = write(tmp_path / "theirs", "mean"), tmp_path / "made"
    with pytest.raises(CheckpointError, match=r"gives 8 invariants and 4 vectors, but .* on 8 and 5"):
        convert(source, made, backbone=mace)
    text = (source / "post_training_architecture_config.yaml").read_text()
    (source / "post_training_architecture_config.yaml").write_text(
        text.replace("3x1o", "4x1o").replace("+2x1o", "")
    )
    assert main(["convert", str(source), str(made), "--backbone", str(mace)]) == 0
    assert capsys.readouterr().out == f"{made}: rem3di-published (descriptor 6) of 3 elements\n"
    rows = REM3DIFeaturizer(str(made), device="cpu").fit(["C"])
    found = rows.transform(["CCO", "c1ccccc1O"])
    assert rows.get_feature_names_out()[0] == "rem3di_descriptor_0"
    again = from_pretrained(made)
    weight = torch.load(source / ENCODER, weights_only=True)["layers.0.attn.W_q.weight"]
    assert torch.equal(again.blocks[0].query.weight, weight)
    assert found.shape == (2, 6)
    assert list(rows.describe_columns()["block"].unique()) == ["descriptor"]


def test_what_is_missing_or_more_than_tensors_is_named(mace, tmp_path):
    with pytest.raises(CheckpointError, match=r"a folder without encoder\.pth"):
        convert(tmp_path, tmp_path / "made")
    source = write(tmp_path / "theirs", "mean")
    with pytest.raises(CheckpointError, match=r"needs backbone=, the converted checkpoint of its MACE"):
        convert(source, tmp_path / "made")
    with pytest.raises(CheckpointError, match="needs a MACE that was converted before"):
        convert(source, tmp_path / "made", backbone="et-xtb-small")
    yaml = source / "post_training_architecture_config.yaml"
    text = yaml.read_text()
    for damaged, message in (
        ("{[", "cannot be read as YAML"),
        (text.replace("encoder_config", "decoder_config"), "not understood: KeyError: 'encoder_config'"),
        (text.replace("dim_feedforward: 7", "dim_feedforward: 100000000"), "more than the [0-9]+ weights"),
    ):
        yaml.write_text(damaged)
        with pytest.raises(CheckpointError, match=message):
            convert(source, tmp_path / "made", backbone=mace)
    torch.save({"weights": Path("x")}, source / ATOMIC)
    with pytest.raises(CheckpointError, match=r"atomic_preprocessor\.pth: holds more than tensors"):
        convert(source, tmp_path / "made", backbone=mace)


def test_settings_that_are_not_known_are_named():
    chosen = settings({"aggregator_type": "mean"}, {"kind": "mlp", "output_dim": 8})
    with pytest.raises(ValueError, match="invariant_projection_config: 'mlp' is not known"):
        translate(chosen, *states("mean"), MACEConfig())
    with pytest.raises(ValueError, match="features 4x2e: only 0e and 1o are known"):
        irreps({"mace_per_layer_irreps": ["4x0e+4x2e"]})
    with pytest.raises(ValueError, match=r"weights decoder\.x are not known"):
        translate(CASES["mean"][0], {"decoder.x": torch.zeros(1)}, *states("mean")[1:], MACEConfig())
