"""What REM3DI's columns mean, and which of them a forest profits from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmol3d.encoders.rem3di.columns import DESCRIPTOR, Column, columns_of
from skmol3d.featurizers.scales import COUNTS
from skmol3d.hub.folder import WORDS

SURFACE = (
    "area",
    "polar_area",
    "charge2_area",
    "solvation",
    "self_solvation",
    "volume",
    "highest_potential",
    "lowest_potential",
    "mean_Born_radius",
    "dipole",
    "radius_of_gyration",
    "hydrogen_bonds",
)
DESCRIPTORS = (
    "qed",
    "MolWt",
    "BalabanJ",
    "BertzCT",
    "Kappa2",
    "LabuteASA",
    "TPSA",
    "FractionCSP3",
    "HeavyAtomCount",
    "NumAromaticRings",
    "NumHAcceptors",
    "NumHDonors",
    "NumRotatableBonds",
    "RingCount",
    "MolLogP",
    "MolMR",
)
"""What `for_trees` keeps of ``surface`` and ``properties``: the most familiar, none a refinement of another.

A forest draws the columns of a split at random, and fine columns have a threshold that fits by chance at
every one: the more there are, the less it sees of the counts. Chosen on training molecules of the benchmark
(`skmol3d.benchmark.experiments.row_choices`).
"""


def meanings(encoder: Any, folder: Path) -> pd.DataFrame:
    """A row for each column of the encoder: the fields of `Column`, and what the checkpoint's table says.

    That table (``words.csv``) has ``smarts``, ``features``, ``example`` and ``descriptor``, which are missing
    where it has no row, or where there is no such table.
    """
    table = pd.DataFrame(columns_of(encoder), columns=list(Column._fields))
    key, told = ["kind", "radius", "identifier"], ["smarts", "features", "example", "descriptor"]
    if (folder / WORDS).is_file():
        names = pd.read_csv(folder / WORDS).reindex(columns=key + told).drop_duplicates(key)
    else:
        names = pd.DataFrame(columns=key + told)
    for part in (table, names):
        for name in ("radius", "identifier"):
            part[name] = part[name].astype("Int64")
    return table.merge(names, how="left", on=key)


def for_trees(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which columns of `meanings` are for forests: all counts, ``strain``, and a few of the other blocks.

    Raises
    ------
    ValueError
        If there are no counts, or nothing says which descriptors the columns of ``properties`` estimate.
    """
    blocks = table["block"]
    if not blocks.isin(COUNTS).any():
        raise ValueError(f"it has no counts, its blocks are {', '.join(blocks.unique())}")
    if (table["kind"] == DESCRIPTOR).any() and table["descriptor"].isna().all():
        raise ValueError(
            f"its folder has no {WORDS}, which names the descriptors that `properties` estimate; "
            "python -m skmol3d.trainer.word_names writes it"
        )
    named = table["meaning"].str.split(" (", regex=False).str[0]
    surface = (blocks == "surface") & named.isin(SURFACE)
    kept = blocks.isin((*COUNTS, "strain")) | surface | table["descriptor"].isin(DESCRIPTORS)
    return kept.to_numpy(bool)
