"""Data sets: a shipped table, fetchers of public sets, and a reader of a folder of tasks. No torch."""

import lazy_loader

# Lazy: importing a sibling must not pay for pandas and scikit-learn. The names stand in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
