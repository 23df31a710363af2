"""The error of crystals that cannot be used."""

from __future__ import annotations

from skmol3d.structures.errors import StructureError


class CrystalError(StructureError):
    """A crystal that cannot be used; the message is the reason alone."""
