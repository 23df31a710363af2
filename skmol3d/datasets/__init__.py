"""Data sets: a shipped table, fetchers of public sets, and a reader of a folder of tasks. No torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skmol3d.datasets.download import get_data_home
    from skmol3d.datasets.fetchers import (
        fetch_bace,
        fetch_bbbp,
        fetch_biogen_adme,
        fetch_esol,
        fetch_freesolv,
        fetch_lipophilicity,
        fetch_moleculeace,
        fetch_pharmabench,
    )
    from skmol3d.datasets.panel import Task, read_panel
    from skmol3d.datasets.small_organics import load_small_organics

_HOMES = {
    "Task": "panel",
    "fetch_bace": "fetchers",
    "fetch_bbbp": "fetchers",
    "fetch_biogen_adme": "fetchers",
    "fetch_esol": "fetchers",
    "fetch_freesolv": "fetchers",
    "fetch_lipophilicity": "fetchers",
    "fetch_moleculeace": "fetchers",
    "fetch_pharmabench": "fetchers",
    "get_data_home": "download",
    "load_small_organics": "small_organics",
    "read_panel": "panel",
}
__all__ = [
    "Task",
    "fetch_bace",
    "fetch_bbbp",
    "fetch_biogen_adme",
    "fetch_esol",
    "fetch_freesolv",
    "fetch_lipophilicity",
    "fetch_moleculeace",
    "fetch_pharmabench",
    "get_data_home",
    "load_small_organics",
    "read_panel",
]


def __getattr__(name: str) -> Any:
    # Lazy: importing a sibling must not pay for pandas and scikit-learn.
    if name in _HOMES:
        return getattr(import_module(f"skmol3d.datasets.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
