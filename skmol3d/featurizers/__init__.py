"""scikit-learn transformers that turn molecules into rows of numbers."""

import lazy_loader

# Lazy: importing one featurizer must not pay for the others, nor the package for rdkit and sklearn. The names
# stand in __init__.pyi.
__getattr__, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["all_featurizers"]


def __dir__():  # lazy_loader's own does not know what was added
    return list(__all__)


def all_featurizers():
    """Every public featurizer class of molecules, in alphabetical order (what the common checks run over)."""
    base = __getattr__("MoleculeFeaturizer")
    classes = [__getattr__(name) for name in sorted(__all__) if name.endswith("Featurizer")]
    return [cls for cls in classes if issubclass(cls, base) and cls is not base]
