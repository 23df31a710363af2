"""scikit-learn estimators that are fitted to data: what stands on rows of features."""

import lazy_loader

# Lazy: one estimator must not pay for the others. The names stand in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
