"""Libraries of millions of molecules, a partition at a time, by the workers of a Dask cluster."""

import lazy_loader

# Lazy: importing it must not pay for dask. The names stand in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
