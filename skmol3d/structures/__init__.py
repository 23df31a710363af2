"""From inputs to arrays: parsing, canonical order, conformers. numpy and RDKit, no torch."""

import lazy_loader

# Lazy: importing a sibling (or the package) must not pay for rdkit. The names stand in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
