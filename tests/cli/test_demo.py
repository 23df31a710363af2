"""The verb demo, run in this process."""

from skmol3d.cli import main


def test_demo(tiny_checkpoint, monkeypatch, capsys):
    monkeypatch.setattr("skmol3d.cli.demo.ROWS", 30)
    assert main(["demo", "--model", tiny_checkpoint]) == 0
    out = capsys.readouterr().out
    assert "30 of the shipped small organics" in out
    assert "| dipole | MAE (Debye) | 24/6 | 0 |" in out
    assert "| gap | MAE (eV) | 24/6 | 0 |" in out
