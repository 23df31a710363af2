"""The verb pretrain."""

import sys
import types

import pytest

from skmol3d.cli import main


def test_pretrain_hands_its_arguments_to_the_trainer(monkeypatch, capsys):
    seen = []
    trainer = types.ModuleType("skmol3d.trainer.pretrain")
    trainer.add_arguments = lambda parser: (
        parser.add_argument("recipe"),
        parser.add_argument("--steps", type=int),
    )
    trainer.run = seen.append
    monkeypatch.setitem(sys.modules, "skmol3d.trainer.pretrain", trainer)
    monkeypatch.setattr("skmol3d.trainer.pretrain", trainer, raising=False)
    assert main(["pretrain", "small.yaml", "--steps", "5"]) == 0
    assert main(["pretrain", "--steps", "7", "other.yaml"]) == 0
    assert [(args.recipe, args.steps) for args in seen] == [("small.yaml", 5), ("other.yaml", 7)]
    with pytest.raises(SystemExit, match="0"):
        main(["pretrain", "--help"])
    assert "usage: skmol3d pretrain" in capsys.readouterr().out
