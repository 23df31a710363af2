"""Pretrained 3D molecular encoders as scikit-learn featurizers."""

import lazy_loader

__version__ = "0.1.0"

# Lazy: `import skmol3d` must not pay for torch or rdkit (grid-search workers import it by the dozen). The
# names stand in __init__.pyi.
__getattr__, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]


def __dir__():  # lazy_loader's own does not know what was added
    return list(__all__)
