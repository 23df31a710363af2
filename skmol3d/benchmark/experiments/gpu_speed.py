"""Speed of the encoders on a GPU, at several batch sizes, next to one CPU core of the same machine.

``python -m skmol3d.benchmark.experiments.gpu_speed CONFORMERS.npz [--model NAME ...] [--atoms N ...]``

Rows as featurizers make them of conformers: batches are collated, encoded and brought back
(`skmol3d.inference`); a pass over all molecules sets things up, and then passes are repeated for some
seconds. The CPU encodes fewer molecules, drawn at random, in its own default batches. The machine needs no
RDKit: elsewhere,

``python -m skmol3d.benchmark.experiments.gpu_speed CONFORMERS.npz --write MOLECULES.csv [--n 4000]``

writes conformers, bonds and environments of the first molecules of a file.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from skmol3d import hub
from skmol3d.benchmark.report import markdown
from skmol3d.inference import Item, encode, find_device

MODELS = ("rem3di-small", "mo3enet-druglike", "ec-xtb-small")
ATOMS = (1024, 4096, 16384, 65536)
CPU_ATOMS = 512  # the featurizers' default


def write_conformers(file: Path, inputs: Sequence[object]) -> int:
    """Write one conformer of each molecule that gets one; returns how many did."""
    # These need rdkit.
    from skmol3d.structures import Conformers, ConformerSettings, atom_environments, generate, read_molecule

    molecules = [read_molecule(text) for text in inputs]
    kept: list[Item] = []
    for molecule, made in zip(molecules, generate(molecules, ConformerSettings(), 1), strict=True):
        if isinstance(made, Conformers) and made.bonds is not None and molecule.mol is not None:
            environments = atom_environments(molecule.mol)
            kept.append(Item(made.numbers, made.positions[0], made.charge, made.bonds, environments))
    numbers, positions, charges, bonds, environments_of = zip(*kept, strict=True)
    np.savez_compressed(
        file,
        atoms=[len(own) for own in numbers],
        links=[len(own) for own in bonds],
        charge=charges,
        numbers=np.concatenate(numbers),
        positions=np.concatenate(positions).astype(np.float32),
        bonds=np.concatenate(bonds),
        environments=np.concatenate(environments_of),
    )
    return len(kept)


def read_conformers(file: Path) -> list[Item]:
    """What `write_conformers` wrote."""
    with np.load(file, allow_pickle=False) as data:
        arrays = dict(data)
    atoms, links = np.cumsum(arrays["atoms"])[:-1], np.cumsum(arrays["links"])[:-1]
    by_atom = (np.split(arrays[name], atoms) for name in ("numbers", "positions", "environments"))
    columns = zip(*by_atom, np.split(arrays["bonds"], links), arrays["charge"].tolist(), strict=True)
    return [Item(n, p.astype(np.float64), charge, bonds, e) for n, p, e, bonds, charge in columns]


def rate(
    encoder: torch.nn.Module, items: list[Item], device: torch.device, atoms: int, seconds: float
) -> str:
    """Molecules per second in batches of ``atoms``, or why it cannot be told."""
    _, reasons, left = encode(encoder, items, device, atoms)
    if reasons or left < atoms:
        return f"memory ends at {left} atoms" if left < atoms else next(iter(reasons.values()))
    begun, passes = time.perf_counter(), 0
    while passes == 0 or time.perf_counter() - begun < seconds:
        encode(encoder, items, device, atoms)
        passes += 1
    return f"{passes * len(items) / (time.perf_counter() - begun):.0f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print, or write the conformers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("conformers", type=Path, help=".npz")
    parser.add_argument("--write", type=Path, metavar="MOLECULES", help="write CONFORMERS; measure nothing")
    parser.add_argument("--smiles-column", help="of MOLECULES")
    parser.add_argument("--n", type=int, default=4000, help="molecules to write (default: 4000)")
    parser.add_argument("--model", action="append", help=f"repeatable (default: {', '.join(MODELS)})")
    parser.add_argument(
        "--atoms", action="append", type=int, help=f"of a batch, repeatable (default: {ATOMS})"
    )
    parser.add_argument("--device", default="cuda", help="default: cuda")
    parser.add_argument("--seconds", type=float, default=1.0, help="per measurement (default: 1)")
    parser.add_argument("--cpu-molecules", type=int, default=200, help="default: 200")
    args = parser.parse_args(argv)
    if args.write:
        from skmol3d.benchmark.experiments.speed import read_sample

        count = write_conformers(args.conformers, read_sample(args.write, args.smiles_column, args.n))
        print(f"{args.conformers}: {count} molecules")
        return
    items = read_conformers(args.conformers)
    few = [items[k] for k in np.random.default_rng(0).permutation(len(items))[: args.cpu_molecules]]
    device, cpu = find_device(args.device), torch.device("cpu")
    if device is None:
        raise SystemExit(f"no {args.device} here")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    sizes = args.atoms or ATOMS
    rows = []
    for model in args.model or MODELS:
        encoder = hub.from_pretrained(model)
        alone = rate(encoder, few, cpu, CPU_ATOMS, args.seconds)
        encoder = encoder.to(device)
        rows.append([model, alone, *(rate(encoder, items, device, n, args.seconds) for n in sizes)])
        print(f"{model}: {rows[-1][1:]}", flush=True)
    atoms = np.mean([len(item.numbers) for item in items])
    about = f"{name}, torch {torch.__version__}"
    print(f"\n{len(items)} molecules of {atoms:.1f} atoms; molecules per second on {about}\n")
    header = ["model", f"one CPU core, batches of {CPU_ATOMS} atoms", *(f"GPU, {n}" for n in sizes)]
    print(markdown(rows, header))


if __name__ == "__main__":
    main()
