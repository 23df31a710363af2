"""Comparison of featurizers: methods x heads x tasks, with paired statistics (see ``skmol3d benchmark``)."""

import lazy_loader

# Lazy: the command line must not import matplotlib, torch or rdkit before it needs them. The names stand in
# __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
