"""`import skmol3d` costs nothing that was not asked for."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "rdkit", "sklearn", "scipy", "pandas", "numpy", "ase", "huggingface_hub", "lightning"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import skmol3d; dir(skmol3d)", set()),
        ("import skmol3d.cli, skmol3d.hub, skmol3d.structures, skmol3d.datasets, skmol3d.benchmark", set()),
        (
            "from skmol3d import ECFPFeaturizer, EquivariantRidge",
            HEAVY - {"torch", "huggingface_hub", "lightning"},
        ),
    ],
)
def test_imports_are_lazy(statement, allowed):
    code = f"{statement}\nimport sys; print(*({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) <= allowed
