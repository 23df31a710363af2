"""Conformers: seeded ETKDG with a fallback ladder, a time limit that holds, and MMFF94 relaxation.

Sources: ETKDGv3, doi:10.1021/acs.jcim.0c00025; MMFF94, doi:10.1002/(SICI)1096-987X(199604)17:5/6<490;
UFF, doi:10.1021/ja00051a040.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from skmol3d.structures.enantiomers import embedded_enantiomer
from skmol3d.structures.errors import StructureError, TransientError, rdkit_reason, rdkit_silence
from skmol3d.structures.isolated import call_isolated
from skmol3d.structures.molecule import Molecule
from skmol3d.structures.stereo import embed_strained, ring_stereo_possible, ring_systems, stereo_kept

EV_PER_KCAL_MOL = 0.04336411530877085
BOLTZMANN_EV_PER_K = 8.617333262e-5

# RDKit cannot be interrupted within a slice of the relaxation (about 1 s at 200 atoms). Longer is faster:
# every slice begins again with the steepest descent. Most drug-like molecules converge in the first.
SLICE, SLICES = 500, 4

# Above this many atoms one RDKit step may take longer than a second or two, and RDKit's own timeout is
# only looked at between steps; such molecules go to a process of their own that can be killed.
ISOLATED_ABOVE = 200

# Where stereocentres are shared by rings, this many attempts come first. If none succeeds, the rings are
# looked at; if these are not to blame, all attempts are made, and the first of them are these again.
TRIAL = 20

CONVENTIONS = 2
"""Number of the rules by which a molecule becomes conformers; part of every cache's keys.

1. ETKDGv3, seeded by the canonical SMILES, each enantiomer for itself.
2. Of two enantiomers the one with the smaller canonical SMILES is embedded as before, and the other is its
   reflection (`skmol3d.structures.enantiomers`). Molecules that are no enantiomers have the conformers of 1.
"""


@dataclass(frozen=True, slots=True)
class ConformerSettings:
    """How conformers are made.

    Parameters
    ----------
    n_conformers : int, default=1
        Conformers per molecule. Conformer k does not depend on how many are asked for.
    random_state : int, default=0
        Goes into every seed, together with the molecule's canonical SMILES.
    relax : {"mmff", None}, default=None
        "mmff" relaxes with MMFF94, or with UFF where MMFF94 lacks parameters (energies are nan then);
        where both lack them the ETKDG geometry stays. None leaves the plain ETKDG geometry.
    time_limit : float, default=30.0
        Seconds per molecule, all conformers together.
    max_attempts : int, default=200
        Attempts at each rung of the ladder ETKDGv3 → random starting coordinates → without torsion
        preferences and flatness terms. Where rings share stereocentres, five more follow without RDKit's
        last look at these (`skmol3d.structures.stereo.embed_strained`).
    """

    n_conformers: int = 1
    random_state: int = 0
    relax: str | None = None
    time_limit: float = 30.0
    max_attempts: int = 200

    def __post_init__(self) -> None:
        if self.relax not in ("mmff", None):
            raise ValueError(f"relax must be 'mmff' or None, got {self.relax!r}")
        for name in ("n_conformers", "max_attempts", "time_limit"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite; got {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Conformers:
    """The geometry of one molecule.

    Attributes
    ----------
    numbers : ndarray of uint8, shape [N]
        Atomic numbers, hydrogens included.
    positions : ndarray of float64, shape [C, N, 3]
        Å; brought coordinates as they came.
    energies : ndarray of float64, shape [C]
        MMFF94 energies, eV, ascending where available. nan where MMFF94 lacks parameters, for bare
        geometries without a molecular graph, and where `relax` is None: energies of unrelaxed
        geometries of our own making say nothing about populations.
    charge : int
        e.
    bonds : ndarray of int32, shape [M, 2], or None
        Each bond once.
    """

    numbers: NDArray[np.uint8]
    positions: NDArray[np.float64]
    energies: NDArray[np.float64]
    charge: int
    bonds: NDArray[np.int32] | None


def embed(molecule: Molecule, settings: ConformerSettings) -> Conformers:
    """Make the conformers of one molecule.

    A function of the molecule and the settings alone; conformers of enantiomers are mirror images. A molecule
    that brought coordinates keeps them: its first `n_conformers` conformers come back as they are, with
    MMFF94 single-point energies where there are parameters.

    Parameters
    ----------
    molecule : Molecule
        From `read_molecule`.
    settings : ConformerSettings
        How to make them.

    Returns
    -------
    Conformers

    Raises
    ------
    StructureError
        If no geometry was found within the attempts or the time limit; `TransientError` if that may be
        otherwise on another machine or day.
    """
    embedded = embedded_enantiomer(molecule)
    made = embed_itself(embedded.molecule, settings)
    if embedded.places is None:
        return made
    positions = embedded.turned_back(made.positions)
    return Conformers(molecule.numbers, positions, made.energies, molecule.charge, molecule.bonds)


def embed_itself(molecule: Molecule, settings: ConformerSettings) -> Conformers:
    """`embed`, but of two enantiomers the very one that is given: what `embedded_enantiomer` chose, say."""
    try:
        if molecule.coordinates is not None:
            return _kept(molecule, molecule.coordinates[: settings.n_conformers])
        if "." in (molecule.smiles or ""):
            raise StructureError(
                "several fragments without coordinates have no common geometry; keep the parent"
            )
        large = len(molecule.numbers) > ISOLATED_ABOVE
        return (embed_isolated if large else embed_here)(molecule, settings)
    except StructureError:
        raise
    except (RuntimeError, ValueError) as error:  # what RDKit raises when it finds itself in a bad state
        raise StructureError(f"RDKit cannot embed it: {rdkit_reason(error)}") from error


def embed_here(molecule: Molecule, settings: ConformerSettings) -> Conformers:
    """Embed this very enantiomer, in this process, where only the clock between RDKit's steps can stop it."""
    assert molecule.mol is not None  # only bare geometries have none, and they bring coordinates
    mol = Chem.Mol(molecule.mol)
    positions, energies = [], []
    with rdkit_silence():  # "UFFTYPER: unrecognized atom type" and the like; failures are reported here
        clock = _Clock(settings.time_limit)
        for k in range(settings.n_conformers):
            _embed_one(mol, seed_of(molecule, settings, k), settings.max_attempts, clock)
            energies.append(math.nan)
            if settings.relax == "mmff":
                energies[-1] = _relax(mol, clock)
                _check(mol)
            positions.append(mol.GetConformer().GetPositions())
    return _sorted(molecule, np.stack(positions), np.array(energies))


def embed_isolated(molecule: Molecule, settings: ConformerSettings) -> Conformers:
    """`embed_here` in a new process that is killed when the time limit has passed."""
    try:
        return call_isolated(embed_here, molecule, settings, limit=settings.time_limit)
    except TimeoutError as error:
        raise _time_limit_error(settings.time_limit) from error


def boltzmann_weights(energies: NDArray[np.float64], temperature: float = 298.15) -> NDArray[np.float64]:
    """Populations of conformers from their energies.

    Parameters
    ----------
    energies : ndarray, shape [C]
        eV.
    temperature : float, default=298.15
        K.

    Returns
    -------
    ndarray of float64, shape [C]
        Sums to one.

    Raises
    ------
    StructureError
        If an energy is nan: one conformer needs no energy, several do.
    """
    energies = np.asarray(energies, dtype=np.float64)
    if len(energies) == 1:
        return np.ones(1)
    if not np.isfinite(energies).all():
        raise StructureError(
            "no MMFF94 energies to weigh the conformers by: MMFF94 has no parameters for this molecule, "
            "or the conformers were not relaxed (relax=None)"
        )
    weights = np.exp(-(energies - energies.min()) / (BOLTZMANN_EV_PER_K * temperature))
    return weights / weights.sum()


class _Clock:
    """Counts down the time limit of one molecule."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.end = time.monotonic() + limit

    def left(self) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            raise _time_limit_error(self.limit)
        return left


def _time_limit_error(limit: float) -> TransientError:
    return TransientError(f"no conformer within the time limit of {limit:g} s")


def seed_of(molecule: Molecule, settings: ConformerSettings, k: int) -> int:
    """RDKit's seed for conformer ``k``: from the molecule alone, wherever it stands."""
    digest = hashlib.sha256(f"{molecule.smiles} {settings.random_state} {k}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def _embed_one(mol: Chem.Mol, seed: int, attempts: int, clock: _Clock) -> None:
    systems = ring_systems(mol)
    if systems and attempts > TRIAL:
        if _climb(mol, seed, 0, TRIAL, clock) is None:
            return
        if not ring_stereo_possible(mol, systems, seed, math.ceil(clock.left())):
            if embed_strained(mol, seed, math.ceil(clock.left())):
                return
            clock.left()
            raise StructureError(
                "impossible stereochemistry, or strained beyond what RDKit embeds: the marks of "
                "stereocentres shared by rings (bridgeheads, ring fusions)"
            )
    causes: dict[int, int] = {}
    for rung in range(3):
        failures = _climb(mol, seed, rung, attempts, clock)
        if failures is None:
            return
        for cause, count in enumerate(failures):
            causes[cause] = causes.get(cause, 0) + count
    if systems and embed_strained(mol, seed, math.ceil(clock.left())):
        return
    worst = rdDistGeom.EmbedFailureCauses.values[max(causes, key=lambda cause: causes[cause])]
    raise StructureError(
        f"no conformer in 3 x {attempts} attempts (most failed at {worst.name.lower().replace('_', ' ')})"
    )


def _climb(mol: Chem.Mol, seed: int, rung: int, attempts: int, clock: _Clock) -> list[int] | None:
    """Try a rung of the ladder; None if it gave a conformer, or else how often each cause prevented it."""
    parameters: Any = rdDistGeom.ETKDGv3()  # the stub knows none of its attributes
    parameters.randomSeed = seed
    parameters.maxIterations = attempts
    parameters.timeout = math.ceil(clock.left())  # whole seconds, looked at between steps
    parameters.trackFailures = True
    parameters.useRandomCoords = rung > 0
    if rung == 2:
        parameters.useExpTorsionAnglePrefs = parameters.useBasicKnowledge = False
        parameters.useSmallRingTorsions = parameters.useMacrocycleTorsions = False
        parameters.ignoreSmoothingFailures = True
    found = rdDistGeom.EmbedMolecule(mol, parameters) >= 0
    clock.left()
    return None if found and stereo_kept(mol) else list(parameters.GetFailureCounts())


def _relax(mol: Chem.Mol, clock: _Clock) -> float:
    """Minimise in place; the MMFF94 energy in eV, or nan if another or no force field was used."""
    field = _mmff(mol)
    mmff = field is not None
    if field is None and rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        field = rdForceFieldHelpers.UFFGetMoleculeForceField(mol)
    if field is None:
        return math.nan
    field.Initialize()
    for _ in range(SLICES):
        clock.left()
        if field.Minimize(maxIts=SLICE) == 0:
            break
    clock.left()
    return field.CalcEnergy() * EV_PER_KCAL_MOL if mmff else math.nan


def _mmff(mol: Chem.Mol) -> Any:
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    return None if properties is None else rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties)


def _kept(molecule: Molecule, coordinates: NDArray[np.float64]) -> Conformers:
    energies = np.full(len(coordinates), math.nan)
    if molecule.mol is not None:
        mol = Chem.Mol(molecule.mol)
        mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
        with rdkit_silence():
            for k, positions in enumerate(coordinates):
                mol.GetConformer().SetPositions(positions)
                field = _mmff(mol)
                energies[k] = math.nan if field is None else field.CalcEnergy() * EV_PER_KCAL_MOL
    return _sorted(molecule, coordinates, energies)


def _sorted(molecule: Molecule, positions: NDArray[np.float64], energies: NDArray[np.float64]) -> Conformers:
    order = np.argsort(energies, kind="stable")  # nan last: without energies the order stays
    return Conformers(molecule.numbers, positions[order], energies[order], molecule.charge, molecule.bonds)


def _check(mol: Chem.Mol) -> None:
    positions = mol.GetConformer().GetPositions()
    if not np.isfinite(positions).all():
        raise StructureError("the force field gave coordinates that are not finite")
    if not stereo_kept(mol):
        raise StructureError("the conformer lost the stereochemistry of the input")
