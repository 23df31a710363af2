"""What each column of a REM3DI row means."""

from __future__ import annotations

from typing import NamedTuple

from numpy.typing import NDArray

from skmol3d.encoders.rem3di.encoder import REM3DI
from skmol3d.encoders.rem3di.surface import COLUMNS
from skmol3d.encoders.rem3di.words import RANKS

KINDS = ("atom types", "features")
"""Of vocabularies: those of ECFP and, after them, those of FCFP."""
DESCRIPTOR = "descriptor"
ESTIMATE = "estimate of one of RDKit's 2D descriptors, in standard deviations"
RADII = 3
NEIGHBOUR = ("first", "second", "third")
UNITS = {
    "Å²": ("area", "polar_area"),
    "e Å²": ("charge_area",),
    "e² Å²": ("charge2_area",),
    "V Å²": ("potential_area",),
    "V² Å²": ("potential2_area",),
    "eV": ("solvation", "self_solvation", "best_solvated"),
    "Å³": ("volume",),
    "V": ("highest_potential", "lowest_potential"),
    "e": ("highest_charge", "lowest_charge"),
    "e Å": ("dipole",),
    "Å": ("mean_Born", "longest_Born", "axis", "radius", "farthest"),
}
"""Of columns of the surface whose names start like this; the others are numbers."""


class Column(NamedTuple):
    """A column of a row.

    Attributes
    ----------
    block : str
    meaning : str
    kind : str or None
        One of `KINDS`, for columns about Morgan environments; `DESCRIPTOR` for estimates of one.
    radius : int or None
        Of the environment, in bonds.
    identifier : int or None
        RDKit's number of the environment (None where the checkpoint does not say), or place of the
        descriptor in its list.
    """

    block: str
    meaning: str
    kind: str | None = None
    radius: int | None = None
    identifier: int | None = None


def columns_of(encoder: REM3DI) -> list[Column]:
    """All columns of the encoder's rows, in their order."""
    if not isinstance(encoder, REM3DI):  # of the authors: one block
        told = "learned by the authors' network, of no promised parity"
        return [Column(block, told) for block, size in encoder.output_blocks().items() for _ in range(size)]
    made = {
        "words": _words(encoder),
        "signed": _signed(encoder),
        "surface": [Column("surface", _with_unit(name)) for name in COLUMNS],
        "properties": [
            Column("properties", ESTIMATE, DESCRIPTOR, None, int(i)) for i in encoder.properties.index
        ],
    }
    others = {
        "strain": "energy of the conformer above what its elements and words let expect (eV)",
        "rare": "number of atoms with environments that have no column, folded",
        "dense": "compressed statistics of the network's and the potential's atoms",
        "invariant": "statistic of the network's atoms",
        "potential": "statistic of the potential's atoms",
        "chiral": "sum of pseudoscalars",
    }
    found = []
    for block, size in encoder.output_blocks().items():
        found += made[block] if block in made else [Column(block, others[block])] * size
    return found


def _words(encoder: REM3DI) -> list[Column]:
    vocabularies = encoder.words.vocabularies
    return [
        _word(vocabularies, "words", "number of atoms with this environment", k, place)
        for k, size in enumerate(encoder.words.config.columns)
        for place in range(size)
    ]


def _signed(encoder: REM3DI) -> list[Column]:
    words, vocabularies = encoder.words, encoder.words.vocabularies
    found = [Column("signed", "stereocentres, + or - by the arrangement of their neighbours")]
    for rank in range(RANKS):
        meaning = f"the same of those whose {NEIGHBOUR[rank]} neighbour has this environment"
        for k in range(len(words.config.signed)):
            places = words.get_buffer(f"signed_{k}").tolist()
            found += [_word(vocabularies, "signed", meaning, k, place) for place in places]
    return found


def _word(vocabularies: list[NDArray] | None, block: str, meaning: str, k: int, place: int) -> Column:
    known = vocabularies is not None and place < len(vocabularies[k])
    identifier = int(vocabularies[k][place]) if vocabularies is not None and known else None
    return Column(block, meaning, KINDS[k // RADII], k % RADII, identifier)


def _with_unit(name: str) -> str:
    unit = next((unit for unit, starts in UNITS.items() if name.startswith(starts)), None)
    return name if unit is None else f"{name} ({unit})"
