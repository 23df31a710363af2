"""The examples in the docstrings of every module run, and every public class has one (REVIEW C10)."""

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import skmol3d

ROOT = Path(skmol3d.__file__).parent
MODULES = [
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(ROOT.rglob("*.py"))
]
CLASSES = [cls for name in skmol3d.__all__ if inspect.isclass(cls := getattr(skmol3d, name))]


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch_geometric
def test_examples(module):
    assert not doctest.testmod(import_module(module)).failed


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_public_class_has_an_example(cls):
    assert ">>>" in cls.__doc__
