"""The table of crystals that can be described."""

from __future__ import annotations

from pathlib import Path

import ase.io
import pytest
from ase.build import bulk
from crystal_examples import CHIRAL, random_crystal

from skmol3d.benchmark.experiments.crystals import main


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "some.extxyz"
    arsine = CHIRAL.copy()
    arsine.numbers[arsine.numbers == 35] = 33
    ase.io.write(path, [random_crystal(2, 0), bulk("Si"), random_crystal(33, 1, (arsine,))])
    main([str(path), "--embeddings", "mo3enet", "inertia", "--rewritten", "2"])
    text = capsys.readouterr().out
    assert "3 crystals, 1 refused, 2 with one independent molecule." in text
    assert "A row with mo3enet: 1." in text
    assert "A row with inertia: 2. Rewritten 2 times: 0 of these change by 0.001 or more" in text
    assert "Within 1e-4 Å of the file: 2" in text
    assert "| 2 | Pna2_1 (33) | 4 | 1 | 5 atoms |" in text
    assert text.count("| yes | yes |") == text.count("| no | yes |") == 1
    assert "| 1 | any | no finite molecule" in text
    assert "| 2 | mo3enet | its molecule" in text
    assert ": As: not among the elements" in text
    ase.io.write(path, bulk("Si"))
    main([str(path)])
    assert "1 crystals, 1 refused, 0 with one" in capsys.readouterr().out
