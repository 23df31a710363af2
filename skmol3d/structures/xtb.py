"""GFN2-xTB labels of one structure, through tblite (``pip install "skmol3d[labels]"``)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import elementary_charge, physical_constants, speed_of_light

_HARTREE = physical_constants["Hartree energy in eV"][0]  # eV
_BOHR = physical_constants["Bohr radius"][0] * 1e10  # Å

#: Debye per e·Å: a dipole in e·Å times this is in Debye (1 D = 1e-21 C·m²/s / c).
DEBYE = elementary_charge * 1e-10 * speed_of_light / 1e-21


@dataclass(frozen=True, slots=True)
class XTBLabels:
    """What GFN2-xTB says about one structure of N atoms.

    Attributes
    ----------
    energy : float
        Total energy, eV.
    forces : ndarray of shape (N, 3)
        Minus the gradient of the energy, eV/Å.
    charges : ndarray of shape (N,)
        Mulliken partial charges, e.
    dipole : ndarray of shape (3,)
        Molecular dipole moment in the frame of the positions, e·Å; it depends on the origin if the
        molecule is charged. Multiply by `DEBYE` for Debye.
    homo, lumo : float
        Energies of the highest occupied and lowest unoccupied orbital, eV.
    """

    energy: float
    forces: NDArray[np.float64]
    charges: NDArray[np.float64]
    dipole: NDArray[np.float64]
    homo: float
    lumo: float


def xtb_labels(numbers: ArrayLike, positions: ArrayLike, charge: int = 0) -> XTBLabels:
    """Single point of one closed-shell structure with GFN2-xTB in the gas phase.

    tblite runs on OpenMP threads: set ``OMP_NUM_THREADS=1`` where many processes label side by side.

    Parameters
    ----------
    numbers : array-like of shape (N,)
        Atomic numbers, hydrogens included, 1 to 86.
    positions : array-like of shape (N, 3)
        Å.
    charge : int, default=0
        Total charge, e.

    Returns
    -------
    XTBLabels

    Raises
    ------
    ImportError
        If tblite is not installed.
    ValueError
        If the arrays do not describe a structure, its number of electrons is odd, or it has no occupied
        orbital (such as H+) or no unoccupied one.
    RuntimeError
        If the self-consistent charges do not converge, or atoms coincide.

    References
    ----------
    Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 2019, 15, 1652. https://doi.org/10.1021/acs.jctc.8b01176
    """
    calculator_class = _calculator_class()
    numbers = np.asarray(numbers)
    positions = np.asarray(positions, dtype=np.float64)
    if numbers.ndim != 1 or len(numbers) == 0 or positions.shape != (len(numbers), 3):
        raise ValueError(
            f"expected numbers of shape (N,) and positions of shape (N, 3) with N >= 1, "
            f"got {numbers.shape} and {positions.shape}"
        )
    if not np.isfinite(positions).all():
        raise ValueError("positions contain NaN or infinity")
    if not np.issubdtype(numbers.dtype, np.integer) or numbers.min() < 1 or numbers.max() > 86:
        raise ValueError("GFN2-xTB covers the elements with atomic number 1 to 86")
    if (int(numbers.sum()) - charge) % 2:
        raise ValueError(f"odd number of electrons at charge {charge:+d}: only closed shells are labelled")

    calculator = calculator_class("GFN2-xTB", numbers.astype(np.int64), positions / _BOHR, float(charge))
    calculator.set("verbosity", 0)
    result = calculator.singlepoint()
    orbitals = result.get("orbital-energies") * _HARTREE
    # Counting electrons rather than looking for occupation 2: at 300 K a small gap leaves fractions.
    occupied = round(float(result.get("orbital-occupations").sum())) // 2
    if not 0 < occupied < len(orbitals):
        raise ValueError("no occupied or no unoccupied orbital in the minimal basis: no HOMO or no LUMO")
    return XTBLabels(
        energy=float(result.get("energy")) * _HARTREE,
        forces=result.get("gradient") * (-_HARTREE / _BOHR),
        charges=result.get("charges"),
        dipole=result.get("dipole") * _BOHR,
        homo=float(orbitals[occupied - 1]),
        lumo=float(orbitals[occupied]),
    )


def _calculator_class() -> Any:
    try:
        from tblite.interface import Calculator
    except ImportError as error:
        raise ImportError('GFN2-xTB labels need tblite: pip install "skmol3d[labels]"') from error
    return Calculator
