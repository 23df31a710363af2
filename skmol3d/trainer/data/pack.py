"""Pack molecules with conformers and cheap targets for pretraining (needs rdkit).

``python -m skmol3d.trainer.data.pack corpus SMILES.csv.gz OUT --count 100000 --n-jobs 2`` embeds molecules of
a corpus; ``... pack assays FOLDER OUT`` those of a folder of assay labels (`skmol3d.trainer.data.assays`),
with their labels; ``... pack xtb LABELS.npz SMILES.csv.gz OUT.npz`` adds the same targets to labelled
conformers; ``... pack probe TASKS OUT`` packs sets for probes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from rdkit import Chem

from skmol3d.datasets import read_panel
from skmol3d.structures import Conformers, Failure, StructureError, embed_cached, read_molecule, read_records
from skmol3d.structures.errors import shorten
from skmol3d.trainer.data.assays import MOLECULES, TARGET, Labels, read_assays
from skmol3d.trainer.data.examples import (
    atom_labels,
    build_example,
    handedness,
    molecular_descriptors,
    settings,
)
from skmol3d.trainer.data.positions import POSITION_UNIT, integer_positions
from skmol3d.trainer.data.sets import Row, stack
from skmol3d.trainer.data.shards import SHARDS, shards_source, write_shard
from skmol3d.trainer.data.sources import digest
from skmol3d.trainer.data.xtb import read_xtb

SHARD = 4000
DRAWN = "drawn.json"  # beside the shards: which molecules they are of
SMALLEST, LARGEST = 4, 45  # heavy atoms
LONGEST_BOND = 2.6  # Å; between atoms in the wrong order there are longer ones


def pack_smiles(
    smiles: Sequence[object], first: int, largest: int, cache_dir: Path | None = None
) -> tuple[list[Row], list[Failure]]:
    """Examples of the molecules that fit and embed; the others, counted from ``first``, with the reason."""
    rows, failures = [], []
    for index, text in enumerate(smiles, first):
        try:
            if not isinstance(text, str):
                raise text if isinstance(text, StructureError) else StructureError("no SMILES")
            rows.append(build_example(text, heavy=(SMALLEST, largest), cache_dir=cache_dir))
        except StructureError as error:
            shown = shorten(text, 80) if isinstance(text, str) else ""
            failures.append(Failure(index, shown, str(error)))
    return rows, failures


def pack_corpus(
    source: Path,
    out: Path,
    count: int | None = None,
    largest: int = LARGEST,
    n_jobs: int = 1,
    seed: int = 0,
    cache_dir: Path | None = None,
) -> None:
    """Write shards ``out/shard_*.npz``; those that exist are kept, so that a killed run continues.

    Parameters
    ----------
    source : path
        Of any type that `skmol3d.structures.read_records` reads SMILES from.
    out : path
        Folder. ``shard_0000.failures.csv`` (index, input, reason) lists what shard 0000 leaves out.
    count : int or None
        Molecules drawn at random, if there are more; None takes all in their order.
    largest : int
        Heavy atoms of the largest molecule; the smallest has 4.
    n_jobs, seed : int
        Processes, and the seed of the draw.
    cache_dir : path or None
        Folder that keeps conformers, so that packing with other targets embeds nothing again.
    """
    molecules = [record.structure for record in read_records(source)]
    if count is not None:
        drawn = pd.Series(molecules, dtype=object)
        molecules = drawn.sample(min(count, len(drawn)), random_state=seed).tolist()
    draw = {"count": count, "largest": largest, "seed": seed if count is not None else None}
    _write_shards(source, molecules, out, draw, n_jobs, cache_dir)


def pack_assays(
    folder: Path,
    out: Path,
    count: int | None = None,
    largest: int = LARGEST,
    n_jobs: int = 1,
    seed: int = 0,
    cache_dir: Path | None = None,
) -> None:
    """Write shards like `pack_corpus` with the target ``assays``.

    Parameters
    ----------
    folder : path
        As `skmol3d.trainer.data.assays.read_assays` reads it.
    out, count, largest, n_jobs, seed, cache_dir
        As `pack_corpus` has them; molecules come in random order, so that each shard has some of all assays.
    """
    smiles, labels = read_assays(folder)
    drawn = np.random.default_rng(seed).permutation(len(smiles))[:count]
    molecules = [smiles[k] for k in drawn]
    draw = {"count": count, "largest": largest, "seed": seed}
    _write_shards(folder / MOLECULES, molecules, out, draw, n_jobs, cache_dir, labels.take(drawn))


def _write_shards(
    source: Path,
    molecules: Sequence[object],
    out: Path,
    draw: dict[str, int | None],
    n_jobs: int,
    cache_dir: Path | None,
    labels: Labels | None = None,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    known, note, largest = digest(source), out / DRAWN, draw["largest"]
    begun = any(out.glob(SHARDS))
    if begun:
        if shards_source(out) not in (None, known):
            raise ValueError(f"{out}: packed from another file; remove the folder to pack {source} anew")
        before = json.loads(note.read_text(encoding="utf-8")) if note.exists() else draw
        if before != draw:
            other = ", ".join(f"{k}={v}" for k, v in before.items() if v != draw[k])
            raise ValueError(f"{out}: packed with {other}; remove the folder to pack {source} anew")
    if not (begun and note.exists()):
        note.write_text(json.dumps(draw) + "\n", encoding="utf-8")
    for k, start in enumerate(range(0, len(molecules), SHARD)):
        file = out / f"shard_{k:04d}.npz"
        if file.exists():
            continue
        part = molecules[start : start + SHARD]
        jobs = [
            joblib.delayed(pack_smiles)(part[i : i + 100], start + i, largest, cache_dir)
            for i in range(0, len(part), 100)
        ]
        done = joblib.Parallel(n_jobs=n_jobs)(jobs)
        rows = [row for found, _ in done for row in found]
        failures = [failure for _, failed in done for failure in failed]
        if failures:
            pd.DataFrame(failures).to_csv(file.with_suffix(".failures.csv"), index=False)
        data = stack(rows) if rows else None
        if data is not None and labels is not None:
            kept = np.setdiff1d(np.arange(start, start + len(part)), [failure.index for failure in failures])
            data = replace(data, molecule_targets=data.molecule_targets | {TARGET: labels.take(kept).dense()})
        write_shard(file, data, known or "")
        print(f"{file.name}: {len(rows)} of {len(part)} molecules", flush=True)


def pack_xtb(labels: Path, smiles: Path, out: Path) -> None:
    """The corpus's targets for labelled conformers.

    Parameters
    ----------
    labels : path
        Of ``skmol3d label``, or conformers whose atoms stand in the order of their SMILES.
    smiles : path
        Table with the columns ``smiles`` and, unless it is what was labelled, ``row``, the numbers of its
        molecules in ``labels``.
    out : path
        ``.npz``.

    Raises
    ------
    ValueError
        If ``out`` is no such file, or the molecules of the table are not those of the labels.
    """
    if out.suffix != ".npz":
        raise ValueError(f"{out}: targets go to a .npz file")
    data = read_xtb(labels)
    table = pd.read_csv(smiles)
    texts = (table.set_index("row") if "row" in table.columns else table)["smiles"]
    atom_targets: list[dict[str, np.ndarray]] = []
    labels_of: dict[int, dict[str, np.ndarray]] = {}
    descriptors: dict[int, np.ndarray] = {}
    for m, row in enumerate(data.group.tolist()):
        atoms = slice(data.offsets[m], data.offsets[m + 1])
        if row not in texts.index:
            raise ValueError(f"{smiles}: no molecule has the row {row} of conformer {m}")
        mol = _graph_of(texts[row], data.numbers[atoms], data.positions[atoms] * POSITION_UNIT)
        if mol is None:
            raise ValueError(f"conformer {m}: its atoms are not those of SMILES {texts[row]!r} (row {row})")
        if row not in descriptors:
            descriptors[row] = molecular_descriptors(mol)
            labels_of[row] = atom_labels(mol)
        chirality = handedness(mol, data.positions[atoms] * POSITION_UNIT)
        atom_targets.append(labels_of[row] | {"handedness": chirality})
    flat: dict[str, Any] = {k: np.concatenate([t[k] for t in atom_targets]) for k in atom_targets[0]}
    np.savez(out, descriptors=np.stack([descriptors[row] for row in data.group.tolist()]), **flat)


def _graph_of(text: str, numbers: np.ndarray, positions: np.ndarray) -> Chem.Mol | None:
    """The graph of a SMILES with the atoms of a conformer in their order: its own, or the canonical one."""
    for read in (Chem.MolFromSmiles, lambda smiles: read_molecule(smiles).mol):
        graph = Chem.AddHs(read(text))
        if np.array_equal(_atomic_numbers(graph), numbers):
            bonds = np.array([[b.GetBeginAtomIdx(), b.GetEndAtomIdx()] for b in graph.GetBonds()], int)
            ends = positions[bonds.reshape(-1, 2)]
            if (np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) < LONGEST_BOND).all():
                return graph
    return None


def pack_probes(
    tasks: Path,
    out: Path,
    names: list[str] | None,
    count: int,
    n_jobs: int,
    seed: int,
    cache_dir: Path | None = None,
) -> None:
    """Write ``out/<task>.npz`` with conformers and values of molecules of each task's *training* part."""
    out.mkdir(parents=True, exist_ok=True)
    for task in read_panel(tasks, names):
        train = np.arange(len(task.y)) if task.split is None else np.flatnonzero(task.split == "train")
        chosen = np.random.default_rng(seed).permutation(train)[:count]
        smiles = [task.smiles[k] for k in chosen]
        conformers = joblib.Parallel(n_jobs=n_jobs)(
            joblib.delayed(_embedded)(text, cache_dir) for text in smiles
        )
        good = [(c, y) for c, y in zip(conformers, task.y[chosen], strict=True) if c is not None]
        if not good:
            raise ValueError(
                f"{task.name}: none of {len(smiles)} molecules of its training part has a conformer"
            )
        sizes = [len(c.numbers) for c, _ in good]
        np.savez(
            out / f"{task.name}.npz",
            numbers=np.concatenate([c.numbers for c, _ in good]),
            positions=np.concatenate([integer_positions(c.positions[0]) for c, _ in good]),
            offsets=np.concatenate([[0], np.cumsum(sizes)]),
            charge=np.array([c.charge for c, _ in good], np.float32),
            value=np.array([y for _, y in good]),
        )
        print(f"{task.name}: {len(good)} of {len(smiles)} molecules", flush=True)


def _embedded(smiles: str, cache_dir: Path | None) -> Conformers | None:
    try:
        return embed_cached(read_molecule(smiles), settings(), cache_dir)
    except StructureError:
        return None


def _atomic_numbers(mol: Chem.Mol) -> np.ndarray:
    return np.array([a.GetAtomicNum() for a in mol.GetAtoms()])


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    corpus = commands.add_parser("corpus", help="embed molecules of a SMILES table")
    corpus.add_argument("source", type=Path)
    assays = commands.add_parser("assays", help="embed molecules of a folder of assay labels")
    assays.add_argument("source", type=Path, help="folder with molecules.csv.gz, labels.npz and columns.json")
    for command, most in ((corpus, 100_000), (assays, None)):
        command.add_argument("out", type=Path)
        command.add_argument("--count", type=int, default=most)
        command.add_argument(
            "--largest", type=int, default=LARGEST, help="heavy atoms of the largest molecule"
        )
        command.add_argument("--n-jobs", type=int, default=1)
        command.add_argument("--seed", type=int, default=0)
    xtb = commands.add_parser("xtb", help="add targets to a set of GFN2-xTB labels")
    for name in ("labels", "smiles", "out"):
        xtb.add_argument(name, type=Path)
    probe = commands.add_parser("probe", help="pack training molecules of a panel of tasks")
    probe.add_argument("tasks", type=Path, help="folder as `skmol3d benchmark --tasks` reads it")
    probe.add_argument("out", type=Path)
    probe.add_argument("--names", nargs="+", help="tasks (default: all)")
    probe.add_argument("--count", type=int, default=400, help="molecules of each task (default: 400)")
    probe.add_argument("--n-jobs", type=int, default=1)
    probe.add_argument("--seed", type=int, default=0)
    for command in (corpus, assays, probe):
        command.add_argument("--cache-dir", type=Path, help="folder that keeps conformers for later runs")
    args = parser.parse_args()
    if args.command == "probe":
        pack_probes(args.tasks, args.out, args.names, args.count, args.n_jobs, args.seed, args.cache_dir)
    elif args.command in ("corpus", "assays"):
        pack = pack_corpus if args.command == "corpus" else pack_assays
        pack(args.source, args.out, args.count, args.largest, args.n_jobs, args.seed, args.cache_dir)
    else:
        pack_xtb(args.labels, args.smiles, args.out)


if __name__ == "__main__":
    main()
