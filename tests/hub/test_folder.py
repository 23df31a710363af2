"""Checkpoint folders that load again."""

import json
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest
import safetensors.torch
import torch
from hub_helpers import BACKBONE, CARD, TINY, WATER, edit_config, make_encoder, replace_weights, same
from torch import nn

from skmol3d.encoders import (
    REM3DI,
    Potential,
    PotentialConfig,
)
from skmol3d.hub import CheckpointError, fingerprint, from_pretrained, save_pretrained


def test_round_trip(encoder: nn.Module, folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    loaded = from_pretrained(folder)
    assert type(loaded) is REM3DI
    assert loaded.config == TINY
    assert not any(module.training for module in loaded.modules())
    assert same(loaded, encoder)
    torch.testing.assert_close(loaded(WATER), encoder(WATER), rtol=0, atol=0)


def test_round_trip_of_a_potential(tmp_path: Path) -> None:
    potential = Potential(PotentialConfig(BACKBONE))
    potential.element_energy[8] = -2041.3
    loaded = from_pretrained(str(save_pretrained(potential, tmp_path, CARD)))
    assert same(loaded, potential)


def test_callers_share_nothing(folder: Path) -> None:
    first, second = from_pretrained(folder), from_pretrained(folder)
    with torch.no_grad():
        for value in first.state_dict().values():
            value.zero_()
    assert not same(first, second)
    assert same(second, from_pretrained(folder))


def test_loading_leaves_random_numbers_and_defaults_alone(folder: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    torch.set_default_dtype(torch.float64)
    try:
        loaded = from_pretrained(folder)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.rand(3), expected)
    assert {v.dtype for v in loaded.state_dict().values() if v.is_floating_point()} == {torch.float32}


def test_half_precision_storage(encoder: nn.Module, folder: Path, tmp_path: Path) -> None:
    half = save_pretrained(encoder, tmp_path / "half", CARD, half=True)
    assert (half / "model.safetensors").stat().st_size < 0.7 * (folder / "model.safetensors").stat().st_size
    loaded = from_pretrained(half)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    for name, value in encoder.named_parameters():
        assert torch.equal(loaded.state_dict()[name], value.half().float()), name
    for name in encoder.state_dict().keys() - dict(encoder.named_parameters()).keys():
        assert torch.equal(loaded.state_dict()[name], encoder.state_dict()[name]), name


@pytest.mark.parametrize(("value", "half"), [(1e5, True), (float("nan"), False), (float("inf"), False)])
def test_weights_that_are_not_finite_are_not_saved(
    encoder: nn.Module, folder: Path, value: float, half: bool
) -> None:
    before = fingerprint(folder)
    with torch.no_grad():
        encoder.norm.weight[0] = value
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not written: norm\.weight is not finite"):
        save_pretrained(encoder, folder, CARD, half=half)
    assert fingerprint(folder) == before


@pytest.mark.slow
def test_interrupted_save_leaves_the_old_checkpoint(
    encoder: nn.Module, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def fail_on_config(self: Path, content: bytes) -> int:
        if self.name == "config.json":
            raise OSError("no space left on device")
        return write(self, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail_on_config)
        with pytest.raises(OSError, match="no space"):
            save_pretrained(make_encoder(1), folder, "other")
    assert same(from_pretrained(folder), encoder)
    assert len(list(folder.iterdir())) == 3


def test_only_registered_encoders_are_saved(tmp_path: Path) -> None:
    with pytest.raises(
        TypeError,
        match=r"Linear is none of the registered encoders: crystal-energy, mo3enet, mo3enet-pooled, pot",
    ):
        save_pretrained(nn.Linear(1, 1), tmp_path, CARD)


def test_model_card_metadata(encoder: nn.Module, folder: Path, tmp_path: Path) -> None:
    card = huggingface_hub.ModelCard.load(folder / "README.md")
    assert card.data.library_name == "skmol3d"
    assert card.data.license == "mit"
    assert card.data.pipeline_tag == "feature-extraction"
    assert "rem3di" in card.data.tags
    assert card.text.strip() == CARD.strip()
    own = "---\nlicense: apache-2.0\n---\n# Mine\n"
    assert (save_pretrained(encoder, tmp_path, own) / "README.md").read_text() == own


def test_fingerprint_follows_what_the_encoder_computes(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "README.md").write_text("another card")
    assert fingerprint(copy) == fingerprint(folder)
    config = json.loads((folder / "config.json").read_text())
    edit_config(copy, config=config["config"] | {"radial_length": 16.0})
    other = save_pretrained(make_encoder(1), tmp_path / "other", CARD)
    assert len({fingerprint(folder), fingerprint(copy), fingerprint(other)}) == 3


def test_older_versions_are_upgraded(
    encoder: nn.Module, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((folder / "config.json").read_text())["config"]
    config["channels"] = config.pop("width")
    edit_config(folder, config=config)
    state = encoder.state_dict()
    state["final.weight"] = state.pop("norm.weight")
    replace_weights(folder, safetensors.torch.save(state))

    def upgrade(cls: type, config: dict, state: dict, version: int) -> tuple[dict, dict]:
        assert version == REM3DI.version - 1
        config["width"] = config.pop("channels")
        state["norm.weight"] = state.pop("final.weight")
        return config, state

    monkeypatch.setattr(REM3DI, "version", REM3DI.version + 1)
    monkeypatch.setattr(REM3DI, "upgrade", classmethod(upgrade))
    assert same(from_pretrained(folder), encoder)
    # The upgrade meets a config that no version ever had.
    edit_config(folder, config={})
    with pytest.raises(CheckpointError, match=r"config\.json: no rem3di \(version \d\) .*KeyError"):
        from_pretrained(folder)


def test_names_of_words_stay_with_their_checkpoint(encoder: nn.Module, tmp_path: Path) -> None:
    """They decide nothing, may be missing, and go when another checkpoint takes the folder."""
    before = fingerprint(save_pretrained(encoder, tmp_path, CARD))
    assert fingerprint(save_pretrained(encoder, tmp_path, CARD, words="column,smarts\n")) == before
    assert (tmp_path / "words.csv").read_text() == "column,smarts\n"
    assert same(from_pretrained(tmp_path), encoder)
    save_pretrained(encoder, tmp_path, CARD)
    assert not (tmp_path / "words.csv").exists()
