"""Random P1 crystals of QM9 molecules with energies.

    python -m skmol3d.trainer.data.synthetic_crystals DATA --out DIR [--molecules 10000] [--n-jobs 1]

DATA is a labelled set of QM9 geometries (``xtb/qm9_0.npz``). Every part of DIR holds the crystals of 256
molecules: the optimum of each and its noisy copies (`skmol3d.crystals.synthesise`), in their canonical
description, with Buckingham energies (well depths) and lattice energies of a potential (eV), both per
molecule. Parts that are already there are not made again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from joblib import Parallel, delayed
from numpy.typing import NDArray

from skmol3d.calculator import potential_energies
from skmol3d.crystals import MolecularCrystal
from skmol3d.crystals.crystal import RigidMolecule
from skmol3d.crystals.energies import buckingham, lattice_energies
from skmol3d.crystals.synthesis import Synthesis, canonical_crystal, rigid_crystals, synthesise
from skmol3d.hub import from_pretrained
from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.sources import Source, digest, quoted
from skmol3d.trainer.data.xtb import read_xtb

PART = 256
CUTOFF = 10.0  # Å, of the Buckingham energies
TARGETS = ("buckingham", "mlip")


def qm9_molecules(path: Path, count: int, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Numbers and positions (Å) of ``count`` random QM9 geometries with two atoms besides hydrogen."""
    data = read_xtb(path)
    geometries = np.flatnonzero(data.molecule_targets["kind"] == ConformerKind.QM9)
    molecules = []
    for i in np.random.default_rng(seed).permutation(geometries):
        batch = data.batch(np.array([i]))[0]
        numbers, positions = batch.numbers.numpy(), batch.positions.numpy().astype(float)
        if (numbers > 1).sum() > 1:
            molecules.append((numbers, positions))
        if len(molecules) == count:
            return molecules
    raise ValueError(f"{path}: only {len(molecules)} QM9 geometries")


def make_part(
    path: Path,
    molecules: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
    settings: Synthesis,
    model: str,
    seed: int,
    source: str = "",
) -> None:
    """Synthesise, describe and label the crystals of some molecules, and write them.

    ``source`` is the SHA-256 of the file that the molecules come from.
    """
    torch.set_num_threads(1)
    cells = synthesise(molecules, settings, torch.Generator().manual_seed(seed))
    soft = lattice_energies(rigid_crystals(cells, molecules), buckingham, CUTOFF).numpy()
    crystals = [canonical_crystal(cells, k, molecules) for k in range(len(cells))]
    potential: Any = from_pretrained(model)
    alone = potential_energies(potential, [Atoms(*molecule) for molecule in molecules])
    owner = cells.molecule.numpy()
    hard = potential_energies(potential, [crystal.to_atoms() for crystal in crystals]) - alone[owner]
    single = [crystal.molecules[0] for crystal in crystals]
    kept = {
        "molecule": owner,
        "parameters": np.array([crystal.parameters[0] for crystal in crystals]),
        "handedness": np.array([molecule.handedness for molecule in single], np.int8),
        "sizes": np.array([len(molecule.numbers) for molecule in single]),
        "numbers": np.concatenate([molecule.numbers for molecule in single]).astype(np.uint8),
        "positions": np.concatenate([molecule.positions for molecule in single]).astype(np.float32),
        "lennard_jones": cells.energies.numpy(),
        "buckingham": soft,
        "mlip": hard,
        "optimised": cells.optimised.numpy(),
        "source": np.array(source),
    }
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **kept)
    partial.rename(path)


def read_parts(
    folder: Path,
) -> tuple[list[MolecularCrystal], NDArray[np.float64], NDArray[np.int64]]:
    """Crystals, their energies [K, 2] (`TARGETS`) and the molecules [K] that they are made of."""
    crystals, energies, molecules, before = [], [], [], 0
    for path in sorted(folder.glob("part_????.npz")):
        with np.load(path) as arrays:
            part = {name: arrays[name] for name in arrays.files}
        stops = np.cumsum(part["sizes"])[:-1]
        atoms = zip(np.split(part["numbers"], stops), np.split(part["positions"], stops), strict=True)
        for k, (numbers, positions) in enumerate(atoms):
            molecule = RigidMolecule(
                numbers.astype(np.int64), positions.astype(float), int(part["handedness"][k])
            )
            crystals.append(MolecularCrystal(1, part["parameters"][k : k + 1], (molecule,)))
        energies.append(np.stack([part[name] for name in TARGETS], 1))
        molecules.append(part["molecule"] + before)
        before += int(part["molecule"].max()) + 1
    if not crystals:
        raise FileNotFoundError(f"{folder}: no part_*.npz")
    return crystals, np.concatenate(energies), np.concatenate(molecules)


def describe_parts(
    source: Source, folder: Path, crystals: Sequence[MolecularCrystal], molecules: NDArray[np.int64]
) -> dict[str, Any]:
    """What a run knows of the crystals that it read from ``folder``, for the model card."""
    with np.load(min(folder.glob("part_????.npz"))) as arrays:
        found = str(arrays["source"]) if "source" in arrays.files else None
    heavy = [int((crystal.molecules[0].numbers > 1).sum()) for crystal in crystals]
    return {
        "path": source.path,
        "share": source.share,
        "count": len(crystals),
        "what": "crystals",
        "molecules": len(np.unique(molecules)),
        "heavy_atoms": [min(heavy), max(heavy)],
        **quoted(source, found),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Make all parts that are not there yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--molecules", type=int, default=10000)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--steps", type=int, default=80, help="of descent")
    parser.add_argument("--cutoff", type=float, default=6.0, help="Å, of the energy that is descended in")
    parser.add_argument("--model", default="et-xtb-small", help="potential")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-jobs", type=int, default=1)
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    source = digest(args.data)
    molecules = qm9_molecules(args.data, args.molecules, args.seed)
    settings = Synthesis(steps=args.steps, cutoff=args.cutoff, copies=args.copies)
    parts = [(start, args.out / f"part_{start // PART:04d}.npz") for start in range(0, len(molecules), PART)]
    Parallel(n_jobs=args.n_jobs)(
        delayed(make_part)(
            path, molecules[start : start + PART], settings, args.model, args.seed + start, source
        )
        for start, path in parts
        if not path.exists()
    )
    print(f"{len(molecules)} molecules, {len(molecules) * (1 + args.copies)} crystals in {args.out}")


if __name__ == "__main__":
    main()
