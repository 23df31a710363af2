"""The shipped list of substructures, which packed sets hold labels of."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple


class Substructure(NamedTuple):
    """One line of ``substructures.csv``."""

    name: str
    smarts: str
    example: str


def read_substructures() -> list[Substructure]:
    """The shipped list, frozen: labels of packed sets are its columns.

    Functional groups, rings and environments written down by hand; kept are those that occur in 0.85 % or
    more of 4,000 molecules of the pretraining corpus and whose atoms are not nearly those of another (Jaccard
    index at most 0.85). Each comes with the SMILES of an example.
    """
    path = Path(__file__).with_name("substructures.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return [Substructure(**row) for row in csv.DictReader(file)]
