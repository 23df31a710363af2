"""Kinds of recipe, one file each: a frozen dataclass, which runs itself and tells the card what it is."""

from importlib import import_module
from typing import Any

#: Kind -> its class, in the module of the kind's name. A new kind is a module here and a line.
KINDS = {
    "potential": "PotentialRecipe",
    "rem3di": "REM3DIRecipe",
    "mo3enet": "Mo3ENetRecipe",
    "mo3enet_pooled": "PooledMo3ENetRecipe",
    "crystal_energy": "CrystalEnergyRecipe",
}


def recipe_class(kind: str) -> Any:
    """The class of a kind; imported now, because importing all would import everything."""
    return getattr(import_module(f"{__name__}.{kind}"), KINDS[kind])
