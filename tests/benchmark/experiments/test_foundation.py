"""The pipeline over a MACE with random weights, on a few molecules and a metal complex."""

import re

from ase import Atoms
from ase.io import write

from skmol3d.benchmark.experiments import foundation
from skmol3d.encoders import MACEConfig

CISPLATIN = Atoms(
    "PtCl2N2H6",
    [
        [0.0, 0.0, 0.0],
        [1.6, 1.6, 0.0],
        [-1.6, 1.6, 0.0],
        [1.5, -1.45, 0.0],
        [-1.5, -1.45, 0.0],
        [2.45, -1.1, 0.1],
        [1.4, -2.05, 0.82],
        [1.4, -2.05, -0.82],
        [-2.45, -1.1, 0.1],
        [-1.4, -2.05, 0.82],
        [-1.4, -2.05, -0.82],
    ],
)


def test_rows_costs_and_complexes_are_told(tmp_path, monkeypatch, capsys):
    small = MACEConfig(elements=foundation.MEDIUM.elements, hidden_irreps="4x0e+4x1o")
    monkeypatch.setattr(foundation, "MEDIUM", small)
    write(tmp_path / "metals.xyz", [CISPLATIN, CISPLATIN])
    foundation.main(["--n", "20", "--complexes", str(tmp_path / "metals.xyz")])
    text = capsys.readouterr().out
    assert re.search(r"\| statistics of MACE, random weights \| 40 \| [\d.]+ \| [\d.]+ \|", text)
    assert re.search(r"\| random REM3DI over MACE, random weights \| 184 \|", text)
    assert "metals.xyz: 2 structures; the potential knows 4 elements" in text
    for name in ("statistics of", "random REM3DI over"):
        assert f"{name} metals.xyz: 2 of 2 get a row" in text


def test_a_model_that_does_not_know_the_metal_says_so(tmp_path, capsys):
    write(tmp_path / "metals.xyz", CISPLATIN)
    foundation.main(["--n", "0", "--model", "ec-xtb-small", "--complexes", str(tmp_path / "metals.xyz")])
    text = capsys.readouterr().out
    assert "statistics of metals.xyz: 0 of 1 get a row" in text
    assert "1 failed: Pt: not among the elements the model knows" in text
