"""`import skmol3d` costs nothing that was not asked for, and one version is told everywhere."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import skmol3d

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
        # huggingface_hub would warn in a Jupyter without ipywidgets, whoever uses what ships.
        (
            "from skmol3d import REM3DIFeaturizer; REM3DIFeaturizer().fit([])",
            HEAVY - {"huggingface_hub", "lightning"},
        ),
    ],
)
def test_imports_are_lazy(statement, allowed):
    code = f"{statement}\nimport sys; print(*({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) <= allowed


def test_the_citation_is_of_this_version():
    citation = (Path(__file__).parents[1] / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall("^version: (.*)$", citation, re.MULTILINE) == [skmol3d.__version__]


@pytest.mark.parametrize(
    "package", ["", ".benchmark", ".crystals", ".datasets", ".featurizers", ".hub", ".structures"]
)
def test_the_reference_names_all_that_is_public(package):
    documented = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8").split()
    module = import_module(f"skmol3d{package}")
    public = {name for name in module.__all__ if callable(getattr(module, name))}
    assert public <= set(documented)
