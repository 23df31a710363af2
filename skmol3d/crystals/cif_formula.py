"""The atoms in a cell against the formula and the number of units that a CIF block has of itself."""

from __future__ import annotations

import re
from collections import Counter

import gemmi
import numpy as np
from numpy.typing import NDArray

from skmol3d.crystals.errors import CrystalError
from skmol3d.crystals.hydrogens import ADD_HYDROGENS
from skmol3d.structures.errors import shorten

TERM = r"([A-Z][a-z]?)(\d+(?:\.\d+)?)?"

MOST = 1e6
"""Of the atoms in a formula, and of formulas in a cell; more are a misprint."""


def check_content(block: gemmi.cif.Block, numbers: NDArray[np.int64]) -> None:
    """Refuse a cell with fewer atoms than its formula, times the formula units in the cell, says.

    More of them pass, for many formulas leave out the solvent. So does a cell that has a multiple of the
    formula, if Z counts parts of it or the formula is that of the whole cell, as pymatgen writes it. Where
    there is no Z, the element other than hydrogen with the most atoms per atom of the formula counts them.

    Parameters
    ----------
    block : gemmi.cif.Block
        With a sum formula or without; formulas with brackets, charges or x are not looked at.
    numbers : ndarray of int [N]
        Atomic numbers of all atoms in the cell.

    Raises
    ------
    CrystalError
        With the number of missing atoms of each element.
    """
    text = gemmi.cif.as_string(block.find_value("_chemical_formula_sum") or "?")
    formula = _parsed(text)
    if not formula:
        return
    z = gemmi.cif.as_number(block.find_value("_cell_formula_units_Z") or "?")
    found = Counter(numbers.tolist())
    ratios = {number: found[number] / count for number, count in formula.items()}
    heavy = {number: ratio for number, ratio in ratios.items() if number != 1} or ratios
    units = max(heavy.values())
    if 0 < z < MOST:
        same = max(ratios.values()) - min(ratios.values()) < 1e-3 * units
        parts = [units * count / z for count in formula.values()]
        if same and (units >= z or all(abs(part - round(part)) < 1e-3 for part in parts)):
            return
        units = z
    missing = []
    for number, count in formula.items():
        expected = round(units * count)
        # A share of an atom in the formula tells of disorder, of which the cell may hold either component.
        if count.is_integer() and found[number] < expected:
            missing.append((number, expected - found[number], expected))
    if missing:
        hydrogens = [number for number, *_ in missing] == [1]
        listed = ", ".join(f"{n} of {all_} {gemmi.Element(number).name}" for number, n, all_ in missing)
        raise CrystalError(
            f"{'hydrogen atoms' if hydrogens else 'atoms'} are missing: {listed}, by the formula"
            f" {shorten(text)}, {units:g} times in the cell;"
            f" {ADD_HYDROGENS if hydrogens else 'add them, or correct the formula or Z'}"
        )


def _parsed(text: str) -> dict[int, float]:
    """Atoms by atomic number, or none if it is no plain formula."""
    if not re.fullmatch(rf"\s*({TERM}[\s,]*)+", text):
        return {}
    formula: dict[int, float] = {}
    for symbol, count in re.findall(TERM, text):
        number = gemmi.Element(symbol).atomic_number  # of D that of hydrogen
        formula[number] = formula.get(number, 0.0) + float(count or 1)
    return formula if 0 not in formula and all(0 < count < MOST for count in formula.values()) else {}
