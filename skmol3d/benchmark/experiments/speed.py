"""Speed of the three stages.

``python -m skmol3d.benchmark.experiments.speed [--input FILE] [--n 1000] [--n-jobs 1]``

Prints molecules per second for parsing, conformers and encoding (of Mo3ENet also decoding to atoms), and what
encoding costs in units of conformer generation. Parsing always runs on one core, and so do default batches
through the encoder. On one core seconds are those of the processor, so that others who use it count less.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import joblib
import torch

from skmol3d import hub
from skmol3d.benchmark.report import markdown
from skmol3d.encoders import AtomBatch
from skmol3d.encoders.mo3enet.autoencoder import Autoencoder
from skmol3d.featurizers.encoder_base import BATCH_ATOMS
from skmol3d.inference import Item, encode
from skmol3d.structures import (
    Conformers,
    ConformerSettings,
    StructureError,
    generate,
    read_molecule,
    read_records,
)
from skmol3d.structures.molecule import Molecule


def read_sample(path: Path | None, column: str | None, count: int) -> list[object]:
    """The first inputs of a file, or of the shipped table."""
    if path is not None:
        return [record.structure for record in islice(read_records(path, smiles_column=column), count)]
    from skmol3d.datasets import load_small_organics

    return list(load_small_organics().data[:count])


@torch.no_grad()
def decoding(encoder: Autoencoder, items: list[Item], clock: Callable[[], float]) -> float:
    """Seconds from embeddings to atoms, in batches of 64 molecules."""
    seconds = 0.0
    for start in range(0, len(items), 64):
        embedding = encoder.embed(AtomBatch.from_arrays(items[start : start + 64]))
        begun = clock()
        encoder.atoms(encoder.decode(embedding))
        seconds += clock() - begun
    return seconds


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, help=".csv, .tsv, .smi or .sdf (default: the shipped table)")
    parser.add_argument("--smiles-column")
    parser.add_argument("--n", type=int, default=1000, help="molecules (default: 1000)")
    parser.add_argument("--n-jobs", type=int, default=1, help="cores for conformers and large batches")
    parser.add_argument("--model", default="rem3di-small")
    default = BATCH_ATOMS["cpu"]
    parser.add_argument("--batch-size", type=int, default=default, help=f"atoms (default: {default})")
    args = parser.parse_args(argv)
    cores = joblib.effective_n_jobs(args.n_jobs)
    clock = time.process_time if cores == 1 else time.perf_counter
    torch.set_num_threads(cores)
    encoder = hub.from_pretrained(args.model)
    inputs = read_sample(args.input, args.smiles_column, args.n)
    if cores > 1:  # workers start once per process, not once per measurement
        list(generate([read_molecule(text) for text in ("CCO", "CCN")], ConformerSettings(), args.n_jobs))

    start = clock()
    molecules: list[Molecule] = []
    for value in inputs:
        try:
            molecules.append(read_molecule(value))
        except StructureError as error:
            print(f"not parsed: {value}: {error}")
    parsed = clock()
    made = [c for c in generate(molecules, ConformerSettings(), args.n_jobs) if isinstance(c, Conformers)]
    embedded = clock()
    known = set(encoder.elements)  # type: ignore[arg-type]
    most, least = max((len(c.numbers) for c in made), default=0), 0
    if isinstance(encoder, Autoencoder):  # it decodes so many atoms, of atomic numbers above the least
        most, least = encoder.config.swarm, 0 if encoder.config.hydrogens else 1
    items = [
        Item(c.numbers, c.positions[0], c.charge, c.bonds)
        for c in made
        if set(c.numbers.tolist()) <= known and (c.numbers > least).sum() <= most
    ]
    encode(encoder, items[:64], torch.device("cpu"), args.batch_size)  # torch's first call sets things up
    ready = clock()
    encode(encoder, items, torch.device("cpu"), args.batch_size)
    encoded = clock()

    stages = [
        ("parse", len(inputs), len(molecules), parsed - start),
        ("conformers (ETKDGv3)", len(molecules), len(made), embedded - parsed),
        ("encode", len(items), len(items), encoded - ready),
    ]
    if isinstance(encoder, Autoencoder):
        stages.append(("decode", len(items), len(items), decoding(encoder, items, clock)))
    rows = [[name, str(n), str(ok), f"{t:.2f}", f"{n / t:.0f}"] for name, n, ok, t in stages]
    atoms = sum(len(c.numbers) for c in made) / max(1, len(made))
    print(
        f"{len(inputs)} molecules, {atoms:.1f} atoms each on average, {cores} core(s), model {args.model}\n"
    )
    print(markdown(rows, ["stage", "molecules", "succeeded", "seconds", "molecules/s"]))
    per_conformer, per_row = (embedded - parsed) / len(molecules), (encoded - ready) / len(items)
    print(f"\nencoding / conformer time: {per_row / per_conformer:.3f}")


if __name__ == "__main__":
    main()
