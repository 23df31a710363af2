"""Speed of the three stages.

``python -m skmol3d.benchmark.experiments.speed [--input FILE] [--n 1000] [--n-jobs 1]``

Prints molecules per second for parsing, conformers and encoding (of REM3DI with the words of the graph, of
Mo3ENet also decoding to atoms), and what encoding costs in units of conformer generation. Parsing always
runs on one core, and so do default batches through the encoder. On one core seconds are those of the
processor, so that others who use it count less.

On one core also the whole way: from text to row through a featurizer, next to RDKit's ``EmbedMolecule`` alone
(ETKDGv3, the same seeds, molecules with hydrogens ready), in blocks of both by turns.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import joblib
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from skmol3d import Mo3ENetFeaturizer, PotentialFeaturizer, REM3DIFeaturizer, hub
from skmol3d.benchmark.report import markdown
from skmol3d.encoders import AtomBatch
from skmol3d.encoders.mo3enet.autoencoder import Autoencoder
from skmol3d.featurizers.cache import clear
from skmol3d.inference import BATCH_ATOMS, Item, encode
from skmol3d.structures import (
    Conformers,
    ConformerSettings,
    StructureError,
    atom_environments,
    generate,
    read_molecule,
    read_records,
)
from skmol3d.structures.conformers import seed_of
from skmol3d.structures.enantiomers import embedded_enantiomer
from skmol3d.structures.molecule import Molecule


def read_sample(path: Path | None, column: str | None, count: int) -> list[object]:
    """The first inputs of a file, or of the shipped table."""
    if path is not None:
        return [record.structure for record in islice(read_records(path, smiles_column=column), count)]
    from skmol3d.datasets import load_small_organics

    return list(load_small_organics().data[:count])


def bare(molecules: list[Molecule], settings: ConformerSettings) -> float:
    """CPU seconds of RDKit's embedding alone, of what our conformers are embedded from."""
    prepared = []
    for own in molecules:
        molecule = embedded_enantiomer(own).molecule
        assert molecule.mol is not None  # it has been embedded
        parameters: Any = rdDistGeom.ETKDGv3()
        parameters.randomSeed = seed_of(molecule, settings, 0)
        parameters.maxIterations = settings.max_attempts
        prepared.append((Chem.Mol(molecule.mol), parameters))
    start = time.process_time()
    for mol, parameters in prepared:
        rdDistGeom.EmbedMolecule(mol, parameters)
    return time.process_time() - start


def whole_way(
    featurizer: Any, inputs: list[Any], molecules: list[Molecule], block: int = 256
) -> tuple[float, float]:
    """CPU seconds of bare embedding, and from inputs to rows, in blocks by turns; nothing is known before."""
    clear()
    alone = rows = 0.0
    for i in range(0, len(inputs), block):
        alone += bare(molecules[i : i + block], ConformerSettings())
        start = time.process_time()
        featurizer.transform(inputs[i : i + block])
        rows += time.process_time() - start
    return alone, rows


def items_of(encoder: Any, worked: Sequence[tuple[Molecule, Conformers]]) -> list[Item]:
    """What featurizers give the encoder of molecules it knows: words of REM3DI are read from the graph."""
    most, least = 0, 0
    if isinstance(encoder, Autoencoder):  # it decodes so many atoms, of atomic numbers above the least
        most, least = encoder.config.swarm, 0 if encoder.config.hydrogens else 1
    items = []
    for molecule, made in worked:
        fits = not most or (made.numbers > least).sum() <= most
        if fits and set(made.numbers.tolist()) <= set(encoder.elements):
            words = atom_environments(molecule.mol) if encoder.name == "rem3di" and molecule.mol else None
            items.append(Item(made.numbers, made.positions[0], made.charge, made.bonds, words))
    return items


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
    results = list(generate(molecules, ConformerSettings(), args.n_jobs))
    embedded = clock()
    worked = [(m, c) for m, c in zip(molecules, results, strict=True) if isinstance(c, Conformers)]
    encode(encoder, items_of(encoder, worked[:64]), torch.device("cpu"), args.batch_size)  # sets torch up
    ready = clock()
    items = items_of(encoder, worked)
    encode(encoder, items, torch.device("cpu"), args.batch_size)
    encoded = clock()

    stages = [
        ("parse", len(inputs), len(molecules), parsed - start),
        ("conformers (ETKDGv3)", len(molecules), len(worked), embedded - parsed),
        ("encode", len(items), len(items), encoded - ready),
    ]
    if isinstance(encoder, Autoencoder):
        stages.append(("decode", len(items), len(items), decoding(encoder, items, clock)))
    rows = [[name, str(n), str(ok), f"{t:.2f}", f"{n / t:.0f}"] for name, n, ok, t in stages]
    atoms = sum(len(m.numbers) for m, _ in worked) / max(1, len(worked))
    print(
        f"{len(inputs)} molecules, {atoms:.1f} atoms each on average, {cores} core(s), model {args.model}\n"
    )
    print(markdown(rows, ["stage", "molecules", "succeeded", "seconds", "molecules/s"]))
    per_conformer, per_row = (embedded - parsed) / len(molecules), (encoded - ready) / len(items)
    print(f"\nencoding / conformer time: {per_row / per_conformer:.3f}")
    classes: list[Any] = [REM3DIFeaturizer, PotentialFeaturizer, Mo3ENetFeaturizer]
    for featurizer in [c for c in classes if cores == 1 and c.encoder_name == encoder.name]:
        settings = {"device": "cpu", "batch_size": args.batch_size, "errors": "nan"}
        own = [molecule for molecule, _ in worked]
        alone, whole = whole_way(
            featurizer(args.model, **settings).fit(()), [molecule.smiles for molecule in own], own
        )
        n = len(own)
        print(
            f"text to row / bare ETKDGv3: {whole / alone:.3f} "
            f"({1000 * whole / n:.1f} and {1000 * alone / n:.1f} ms for each of {n} molecules)"
        )


if __name__ == "__main__":
    main()
