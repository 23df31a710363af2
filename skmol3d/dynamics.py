"""Molecular dynamics of several copies of a molecule at once, and how trajectories are judged.

For a single run with any thermostat, ASE's own dynamics take a `PotentialCalculator`. Here the copies
(replicas) go through the potential together, which costs less, and each has a thermostat of its own.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

import numpy as np
from ase import Atoms, units
from ase.md.velocitydistribution import Stationary, ZeroRotation
from numpy.typing import ArrayLike, NDArray

Forces = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Positions [R, N, 3] (Å) to energies [R] (eV) and forces [R, N, 3] (eV/Å)."""

BROKEN = 0.5
"""Å that a bond may deviate from its length at the start (Fu et al., arXiv:2210.07237)."""

TIME_CONSTANT = 50.0
"""Of the thermostat, fs."""

FARTHEST = 10.0
"""Å up to which distances of pairs are counted."""

BINS = 200


@dataclass(frozen=True)
class Trajectory:
    """Frames of R replicas.

    Attributes
    ----------
    times : ndarray of shape (T,)
        ps since the start, which is the first frame.
    positions : ndarray of shape (T, R, N, 3)
        Å; NaN from the frame on at which a replica has broken.
    temperatures : ndarray of shape (T, R)
        K, of each frame.
    conserved : ndarray of shape (T, R)
        Energy of the molecule and its thermostat together (eV), constant but for errors of integration.
    stable : ndarray of shape (R,)
        ps until a bond was off by more than `BROKEN`; infinite for replicas whose bonds held to the end.
    seconds : float
        Of the process on the CPU, per step and replica.
    """

    times: NDArray[np.float64]
    positions: NDArray[np.float64]
    temperatures: NDArray[np.float64]
    conserved: NDArray[np.float64]
    stable: NDArray[np.float64]
    seconds: float


def nose_hoover(
    forces: Forces,
    atoms: Atoms,
    steps: int,
    replicas: int = 1,
    temperature: float = 500.0,
    timestep: float = 0.5,
    every: int = 10,
    seconds: float | None = None,
    seed: int = 0,
) -> Trajectory:
    """Canonical dynamics of copies of one molecule, each with a Nosé–Hoover thermostat of its own.

    Bonds are those that `perceive_bonds` finds at the start. A replica ends at the first frame at which one
    of them is off by more than `BROKEN`, or not a number. All start where the atoms are, with velocities
    drawn for the temperature, without those of the whole (so that there are 3N - 6 degrees of freedom, 3N - 5
    for two atoms).

    Parameters
    ----------
    forces : callable
        Positions [R, N, 3] (Å) to energies [R] (eV) and forces [R, N, 3] (eV/Å), of the replicas that have
        not ended: ``lambda x: calculator.evaluate(atoms, x)``, or `one_by_one` of ASE calculators.
    atoms : ase.Atoms
        Where all replicas start; not periodic.
    steps : int
        Steps of each replica.
    replicas : int, default=1
        Copies that run side by side.
    temperature : float, default=500
        K.
    timestep : float, default=0.5
        fs.
    every : int, default=10
        Steps from frame to frame.
    seconds : float, optional
        The run ends at the first frame after so many seconds of the process on the CPU.
    seed : int, default=0
        Of the velocities.

    Returns
    -------
    Trajectory

    Raises
    ------
    TypeError
        If `forces` is no function of positions alone, or a number is none, or not whole where it counts.
    ValueError
        If a number is not positive, the atoms are periodic, fewer than two or under constraints, which the
        replicas would not obey, or `forces` gives other shapes.

    References
    ----------
    G. J. Martyna et al., "Explicit reversible integrators for extended systems dynamics", Mol. Phys. 1996,
    87, 1117, with one thermostat. https://doi.org/10.1080/00268979600100761
    """
    # They need rdkit, which the rest does not.
    from skmol3d.featurizers.parameters import check_integer
    from skmol3d.structures.geometry import perceive_bonds

    _check_function(forces)
    sizes = {"steps": steps, "replicas": replicas, "every": every}
    for name, count in sizes.items():
        check_integer(name, count)
    for name, value in (sizes | {"temperature": temperature, "timestep": timestep}).items():
        if not isinstance(value, Real):
            raise TypeError(f"{name} must be a number; got {value!r}")
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    if atoms.pbc.any() or len(atoms) < 2:
        raise ValueError("dynamics of replicas are for single molecules of two atoms or more")
    if atoms.constraints:
        raise ValueError(
            "dynamics of replicas know no constraints, which these atoms have: ASE's own dynamics obey them,"
            " and atoms.set_constraint() removes them"
        )
    begun, done = time.process_time(), 0
    mass = atoms.get_masses()[:, None]
    free = 3 * len(atoms) - (5 if len(atoms) == 2 else 6)
    kt, dt = units.kB * temperature, timestep * units.fs
    inertia = free * kt * (TIME_CONSTANT * units.fs) ** 2
    bonds = perceive_bonds(atoms.numbers, atoms.positions)
    start = _bond_lengths(atoms.positions[None], bonds)
    active = np.arange(replicas)
    x = np.repeat(atoms.positions[None], replicas, 0)
    v = thermal_velocities(atoms, replicas, kt, free, np.random.default_rng(seed))
    friction, travelled = np.zeros(replicas), np.zeros(replicas)
    energy, force = _evaluated(forces, x)

    def kinetic() -> NDArray[np.float64]:
        return 0.5 * (mass * v**2).sum((1, 2))

    def thermostat() -> None:
        """Half a step; velocities and friction take turns."""
        nonlocal v, friction, travelled
        friction = friction + dt / 4 * (2 * kinetic() - free * kt) / inertia
        v = v * np.exp(-dt / 2 * friction)[:, None, None]
        travelled = travelled + dt / 2 * friction
        friction = friction + dt / 4 * (2 * kinetic() - free * kt) / inertia

    frames: list[tuple[NDArray, NDArray, NDArray]] = []
    stable = np.full(replicas, np.inf)
    for step in range(steps + 1):
        if step % every == 0:
            whole = energy + kinetic() + 0.5 * inertia * friction**2 + free * kt * travelled
            frame = [np.full((replicas, *shape), np.nan) for shape in (x.shape[1:], (), ())]
            off = np.abs(_bond_lengths(x, bonds) - start)
            held = (off <= BROKEN).all(1) & np.isfinite(x).all((1, 2))
            stable[active[~held]] = step * timestep / 1000
            active, x, v, force = active[held], x[held], v[held], force[held]
            friction, travelled = friction[held], travelled[held]
            for values, now in zip(frame, (x, 2 * kinetic() / free / units.kB, whole[held]), strict=True):
                values[active] = now
            frames.append((frame[0], frame[1], frame[2]))
            if not len(active) or (seconds is not None and time.process_time() - begun > seconds):
                break
        if step == steps:
            break
        thermostat()
        v = v + dt / 2 * force / mass
        x = x + dt * v
        energy, force = _evaluated(forces, x)
        v = v + dt / 2 * force / mass
        thermostat()
        done += len(active)
    positions, temperatures, conserved = (np.array(each) for each in zip(*frames, strict=True))
    times = np.arange(len(frames)) * every * timestep / 1000
    spent = (time.process_time() - begun) / max(1, done)
    return Trajectory(times, positions, temperatures, conserved, stable, spent)


def _check_function(forces: Forces) -> None:
    example = "lambda x: calculator.evaluate(atoms, x)"
    if not callable(forces):
        raise TypeError(f"forces must be a function of positions, such as {example}; got {forces!r}")
    try:
        inspect.signature(forces).bind(None)
    except TypeError as error:
        raise TypeError(f"forces must take positions alone, as {example} does: {error}") from error


def _evaluated(
    forces: Forces, positions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies and forces of replicas; ValueError if they have other shapes, which might broadcast."""
    found = forces(positions)
    shapes = [np.shape(each) for each in (found if isinstance(found, tuple | list) else [found])]
    wanted = [positions.shape[:1], positions.shape]
    if shapes != wanted:
        raise ValueError(
            f"forces must return energies of shape {wanted[0]} and forces of shape {wanted[1]};"
            f" got {', '.join(map(str, shapes))}"
        )
    return found


def one_by_one(atoms: Atoms, calculators: list) -> Forces:
    """Forces of replicas from ASE calculators, one for each, so that each may start from its last state.

    Parameters
    ----------
    atoms : ase.Atoms
        Elements and charge of all.
    calculators : list of ase.calculators.calculator.Calculator
        As many as there are replicas.

    Returns
    -------
    callable
        As `nose_hoover` takes it.
    """
    copies = [atoms.copy() for _ in calculators]
    for copy, calculator in zip(copies, calculators, strict=True):
        copy.set_constraint()  # forces are those of the potential
        copy.calc = calculator

    def forces(positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        found = []
        for copy, place in zip(copies, positions, strict=False):  # fewer, where replicas have ended
            copy.positions = place
            found.append((copy.get_potential_energy(), copy.get_forces()))
        return np.array([e for e, _ in found]), np.array([f for _, f in found])

    return forces


def pair_distances(positions: ArrayLike) -> NDArray[np.float64]:
    """Distribution h(r) of the distances of all pairs of atoms, averaged over frames and replicas.

    Parameters
    ----------
    positions : array-like of shape (..., N, 3)
        Å; frames with NaN are left out.

    Returns
    -------
    ndarray of shape (BINS,)
        Probability densities (1/Å) in `BINS` equal bins from 0 to `FARTHEST`; longer distances are counted
        among all, but have no bin.

    Raises
    ------
    ValueError
        If no frame is without NaN.
    """
    places = np.asarray(positions, np.float64)
    places = places.reshape(-1, *places.shape[-2:])
    places = places[np.isfinite(places).all((1, 2))]
    if not len(places):
        raise ValueError("no frame is left to count distances in")
    i, j = np.triu_indices(places.shape[1], 1)
    counts = np.zeros(BINS)
    for part in np.array_split(places, len(places) // 1000 + 1):
        apart = np.linalg.norm(part[:, i] - part[:, j], axis=-1)
        counts += np.histogram(apart, BINS, (0.0, FARTHEST))[0]
    return counts / (len(places) * len(i)) / (FARTHEST / BINS)


def distribution_error(found: ArrayLike, reference: ArrayLike) -> float:
    """Integral of the absolute difference of two distributions h(r).

    Parameters
    ----------
    found, reference : array-like of shape (BINS,)
        From `pair_distances`.

    Returns
    -------
    float
        0 if they agree, 2 if they are disjoint.
    """
    return float(np.abs(np.asarray(found) - np.asarray(reference)).sum() * FARTHEST / BINS)


def _bond_lengths(positions: NDArray[np.float64], bonds: NDArray[np.int32]) -> NDArray[np.float64]:
    return np.linalg.norm(positions[:, bonds[:, 0]] - positions[:, bonds[:, 1]], axis=-1)


def thermal_velocities(
    atoms: Atoms, replicas: int, kt: float, free: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Of all replicas, without momentum and angular momentum, each at the temperature exactly."""
    drawn = []
    for _ in range(replicas):
        one = Atoms(atoms.numbers, atoms.positions, masses=atoms.get_masses())
        one.set_velocities(rng.normal(size=(len(one), 3)) / np.sqrt(one.get_masses())[:, None])
        Stationary(one, preserve_temperature=False)
        ZeroRotation(one, preserve_temperature=False)
        one.set_momenta(one.get_momenta() * np.sqrt(free * kt / (2 * one.get_kinetic_energy())))
        drawn.append(one.get_velocities())
    return np.array(drawn)
