"""How far REM3DI's words depend on the conformer, and how well those of a bare geometry are perceived.

    python -m skmol3d.benchmark.experiments.word_stability --input TABLE [--last 300] [--model rem3di-small]

The last molecules of the table should not have been trained on. The first hundred of them whose
stereochemistry is specified (conformers of others are of several isomers) get ten conformers each, plain
ETKDGv3, seeds 0 to 9: of the columns that are not zero in one of the ten rows, how many have one value?
Once with the molecular graph, once without. Then, of all heavy atoms in one conformer each: how often is the
environment that the network perceives RDKit's? Those below the confidence have no name.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit import Chem

from skmol3d import hub
from skmol3d.benchmark.report import markdown
from skmol3d.encoders import AtomBatch
from skmol3d.encoders.rem3di.columns import KINDS, RADII
from skmol3d.inference import BATCH_ATOMS, Item, encode
from skmol3d.structures import (
    ConformerSettings,
    Molecule,
    StructureError,
    atom_environments,
    embed,
    read_molecule,
    read_records,
)


def read_last(path: str, count: int) -> list[Molecule]:
    """Those of the last records of a table that can be read."""
    records = [record.structure for record in read_records(path)][-count:]
    molecules = []
    for record in records:
        try:
            molecules.append(read_molecule(record))
        except StructureError:
            continue
    return molecules


def is_one_isomer(molecule: Molecule) -> bool:
    """Whether no stereo mark is missing."""
    unspecified = Chem.StereoSpecified.Unspecified
    return all(element.specified != unspecified for element in Chem.FindPotentialStereo(molecule.mol))


def conformers(molecule: Molecule, seeds: range, most: int = 50) -> list[Item]:
    """One for each seed, with what the graph says; none if one of them fails."""
    items = []
    for seed in seeds:
        settings = ConformerSettings(random_state=seed, relax=None, time_limit=10.0, max_attempts=most)
        try:
            made = embed(molecule, settings)
        except StructureError:
            return []
        assert molecule.mol is not None  # a table has SMILES
        environments = atom_environments(molecule.mol)
        items.append(Item(made.numbers, made.positions[0], made.charge, made.bonds, environments))
    return items


def agreement(rows: NDArray[np.float32]) -> tuple[int, int]:
    """Columns with one value in all conformers, and all that are set, of rows [molecules, conformers, D]."""
    used = (rows != 0).any(1)
    same = (rows == rows[:, :1]).all(1)
    return int((same & used).sum()), int(used.sum())


@torch.no_grad()
def perceived(encoder: Any, items: Sequence[Item]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Classes [atoms, vocabularies] of the tokens as perceived and as the graph has them, -1 for none."""
    found: list[NDArray[np.int64]] = []
    expected: list[NDArray[np.int64]] = []
    for item in items:
        for known, classes in ((None, found), (item.environments, expected)):
            tokens = encoder.tokens(AtomBatch.from_arrays([item._replace(environments=known)]))
            classes.append(encoder.words.classes(tokens.encoded[tokens.real], tokens.atoms).numpy())
    return np.concatenate(found), np.concatenate(expected)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", required=True, help="table of molecules")
    parser.add_argument("--last", type=int, default=300, help="how many of its last molecules (default: 300)")
    parser.add_argument("--model", default="rem3di-small")
    parser.add_argument("--molecules", type=int, default=100, help="with several conformers (default: 100)")
    parser.add_argument("--seeds", type=int, default=10, help="conformers of each (default: 10)")
    args = parser.parse_args(argv)
    encoder: Any = hub.from_pretrained(args.model)
    if not encoder.words.vocabularies:
        raise SystemExit(f"{args.model} does not say what its words stand for")
    molecules = read_last(args.input, args.last)
    several = (conformers(molecule, range(args.seeds)) for molecule in molecules if is_one_isomer(molecule))
    items = [item for made in islice(filter(None, several), args.molecules) for item in made]
    lines = []
    for what, given in (
        ("the graph", items),
        ("bare geometries", [i._replace(environments=None) for i in items]),
    ):
        rows, _, _ = encode(encoder, given, torch.device("cpu"), BATCH_ATOMS["cpu"])
        rows = rows.reshape(-1, args.seeds, rows.shape[1])
        start = 0
        for block, size in encoder.output_blocks().items():
            if block in ("words", "rare", "signed"):
                same, used = agreement(rows[:, :, start : start + size])
                lines.append([what, block, str(used), f"{same / max(used, 1):.2%}"])
            start += size
    print(f"## {len(items) // args.seeds} molecules with {args.seeds} conformers each\n")
    print(markdown(lines, ["words of", "block", "columns set", "the same in all"]), "\n")

    single = [item for molecule in molecules for item in conformers(molecule, range(1))]
    found, expected = perceived(encoder, single)
    lines = []
    for k in range(expected.shape[1]):
        known = expected[:, k] >= 0
        own = found[known, k]
        right, none = np.mean(own == expected[known, k]), np.mean(own < 0)
        shares = [f"{share:.2%}" for share in (right, 1 - right - none, none)]
        lines.append([KINDS[k // RADII], str(k % RADII), str(known.sum()), *shares])
    whole = (expected >= 0).all(1)
    every = (found == expected)[whole].all(1)
    lines.append(["all of them", "", str(whole.sum()), f"{every.mean():.2%}", "", ""])
    print(f"## Perceived in one conformer each of {len(single)} molecules\n")
    print(markdown(lines, ["environments", "radius", "atoms with a class", "right", "wrong", "no name"]))


if __name__ == "__main__":
    main()
