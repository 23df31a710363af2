"""The shipped table of small organic molecules with GFN2-xTB labels."""

from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

_UNITS = {"homo": "eV", "lumo": "eV", "gap": "eV", "dipole": "Debye"}
_DESCR = """small_organics: GFN2-xTB frontier orbitals and dipole moments of small organic molecules

2,000 neutral closed-shell molecules of H, C, N, O, F, S, Cl and Br with at most 14 heavy atoms, enumerated
for skmol3d by rule (scaffolds, each with up to three substituents;
skmol3d.benchmark.experiments.make_small_organics) and not taken from any data set. SMILES are canonical,
isomeric and unique. 50 chiral molecules stand next to their mirror images, with the same labels; split by
molecules without stereochemistry where that matters.

homo, lumo   energy of the highest occupied and lowest unoccupied orbital, eV
gap          lumo - homo, eV
dipole       magnitude of the dipole moment, Debye

level of theory: GFN2-xTB (tblite), gas phase, single point on the conformer of lowest MMFF94 energy out of
    ten (ETKDGv3, each relaxed with MMFF94). Orbital energies are those of a minimal-basis tight-binding
    method: LUMO energies lie far below those of density functional theory.
licence: MIT, as skmol3d
citation of the method: Bannwarth, Ehlert, Grimme 2019, https://doi.org/10.1021/acs.jctc.8b01176
"""


def load_small_organics(*, target: str = "gap", return_X_y: bool = False, as_frame: bool = False) -> Any:
    """About 2,000 small organic molecules with GFN2-xTB orbital energies and dipoles; shipped, no download.

    Parameters
    ----------
    target : {"gap", "homo", "lumo", "dipole"}, default="gap"
        The property to hand out as target: eV, the dipole moment in Debye.
    return_X_y : bool, default=False
        If True, return ``(data, target)``.
    as_frame : bool, default=False
        If True, the target is a pandas Series.

    Returns
    -------
    Bunch or (data, target)
        ``data`` (Series of n SMILES), ``target`` (float64 of shape (n,)), ``split`` (None), ``frame``
        (smiles and all four properties), ``target_name``, ``unit``, and ``DESCR`` with the level of theory.

    Raises
    ------
    ValueError
        If the target is unknown.

    Examples
    --------
    >>> from skmol3d.datasets import load_small_organics
    >>> load_small_organics(target="dipole").unit
    'Debye'
    """
    if target not in _UNITS:
        raise ValueError(f"unknown target {target!r}, choose from {', '.join(_UNITS)}")
    with files("skmol3d.datasets").joinpath("data/small_organics.csv").open(encoding="utf-8") as stream:
        frame = pd.read_csv(stream)
    data = frame["smiles"]
    values = frame[target].astype(np.float64)
    y = values if as_frame else values.to_numpy()
    if return_X_y:
        return data, y
    return Bunch(
        data=data, target=y, split=None, frame=frame, target_name=target, unit=_UNITS[target], DESCR=_DESCR
    )
