"""Crystals read from the text of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from skmol3d.crystals import MolecularCrystal


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str | bytes, name: str = "a.cif") -> MolecularCrystal:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return MolecularCrystal.read(path)

    return read
