"""Molecular crystals: structures (numpy, ASE, spglib), and energies and synthesis in batches (torch)."""

import lazy_loader

# Lazy: structures must not pay for torch, nor a sibling for spglib. The names stand in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
