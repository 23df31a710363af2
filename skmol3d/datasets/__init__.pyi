from .assay import read_assay
from .download import get_data_home
from .fetchers import (
    fetch_bace,
    fetch_bbbp,
    fetch_biogen_adme,
    fetch_esol,
    fetch_freesolv,
    fetch_lipophilicity,
    fetch_moleculeace,
    fetch_pharmabench,
)
from .panel import Task, read_panel
from .small_organics import load_small_organics

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
    "read_assay",
    "read_panel",
]
