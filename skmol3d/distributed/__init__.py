"""Libraries of millions of molecules, a partition at a time, by the workers of a Dask cluster."""

from typing import Any

import lazy_loader

# Lazy: importing it must not pay for dask. The names stand in __init__.pyi.
_attached, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    try:
        return _attached(name)
    except ModuleNotFoundError as error:
        raise ImportError("libraries need dask and pyarrow: pip install 'skmol3d[dask]'") from error
