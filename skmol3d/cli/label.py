"""GFN2-xTB energies, forces, charges, dipoles and orbitals of molecules.

Recipes train potentials on them. A killed run continues when the same command
is given again. What cannot be labelled is listed in OUTPUT.failures.csv; where
that is all, there is no OUTPUT, and the exit status is 1.
"""

import argparse
import sys
import time
from pathlib import Path

from skmol3d.cli import library

EXAMPLE = "skmol3d label molecules.smi labels.npz --n-jobs 2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("input", type=Path, help="as for featurize: .smi, .csv, .sdf, ...")
    parser.add_argument("output", type=Path, help=".npz that the recipes' `potential` data are read from")
    parser.add_argument("--smiles-column", help="column of the table (default: SMILES in any case)")
    parser.add_argument(
        "--n-conformers", type=int, default=1, help="conformers per molecule without coordinates (default: 1)"
    )
    parser.add_argument("--random-state", type=int, default=0, help="goes into every conformer's seed")
    parser.add_argument(
        "--relax",
        choices=["mmff", "none"],
        default="mmff",
        help="relax conformers with MMFF94 (default) or leave them as ETKDG gives them",
    )
    parser.add_argument("--cache-dir", type=Path, help="folder that keeps conformers for later runs")
    parser.add_argument("--n-jobs", type=int, help="worker processes, one thread each (default: 1; -1: all)")


def run(args: argparse.Namespace) -> int:
    """Label the file and say what became of it; give the exit status."""
    from skmol3d.structures import ConformerSettings
    from skmol3d.trainer.data.labelling import NothingLabelled, label_file

    start = time.perf_counter()
    settings = ConformerSettings(
        n_conformers=args.n_conformers,
        random_state=args.random_state,
        relax=None if args.relax == "none" else args.relax,
    )
    verbose = int(sys.stderr.isatty())
    try:
        done = label_file(
            args.input, args.output, args.smiles_column, settings, args.n_jobs, verbose, args.cache_dir
        )
    except NothingLabelled as error:
        print(f"skmol3d label: {error}", file=sys.stderr)
        return 1
    earlier = f" ({done.resumed} inputs were done before)" if done.resumed else ""
    print(
        f"{done.conformers} conformers of {done.inputs} inputs in {time.perf_counter() - start:.1f} s: "
        f"{args.output}{earlier}"
    )
    if done.failures:
        print(f"{len(done.failures)} failures, listed in {args.output}.failures.csv", file=sys.stderr)
        for failure in done.failures[: library.SHOWN]:
            print(library.failure_line(failure.index, None, failure.input, failure.reason), file=sys.stderr)
    return 0
