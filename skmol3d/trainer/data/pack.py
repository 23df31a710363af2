"""Pack molecules with conformers and cheap targets for pretraining: the trainer's only part that needs rdkit.

``python -m skmol3d.trainer.data.pack corpus SMILES.csv.gz OUT --count 100000 --n-jobs 2`` embeds molecules of
a corpus; ``python -m skmol3d.trainer.data.pack xtb LABELS.npz SMILES.csv.gz OUT.npz`` adds the same targets
to labelled conformers; ``python -m skmol3d.trainer.data.pack probe TASKS OUT`` packs sets for probes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from rdkit import Chem
from rdkit.Chem import Descriptors, rdFingerprintGenerator
from rdkit.Geometry import Point3D

from skmol3d.datasets import read_panel
from skmol3d.structures import Conformers, ConformerSettings, StructureError, embed, read_molecule
from skmol3d.trainer.data.membership import substructure_membership
from skmol3d.trainer.data.positions import integer_positions
from skmol3d.trainer.data.sets import POSITION_UNIT, read_xtb

RADIUS = 2
GENERATORS = [
    rdFingerprintGenerator.GetMorganGenerator(
        radius=RADIUS, includeRedundantEnvironments=True, atomInvariantsGenerator=invariants
    )
    for invariants in (None, rdFingerprintGenerator.GetMorganFeatureAtomInvGen())
]
DESCRIPTORS = tuple(name for name, _ in Descriptors._descList)
SHARD = 4000
SETTINGS = ConformerSettings(relax=None, time_limit=5.0, max_attempts=50)


def atom_environments(mol: Chem.Mol) -> np.ndarray:
    """Identifiers of the Morgan environments around each atom, uint32 [N, 6]; 0 for hydrogens.

    Columns are radius 0, 1, 2 over atom types (as in ECFP) and again over pharmacophoric features (FCFP).
    """
    heavy = Chem.RemoveHs(mol)
    identifiers = np.zeros((heavy.GetNumAtoms(), len(GENERATORS) * (RADIUS + 1)), np.uint32)
    for k, generator in enumerate(GENERATORS):
        output = rdFingerprintGenerator.AdditionalOutput()
        output.AllocateBitInfoMap()
        generator.GetSparseCountFingerprint(heavy, additionalOutput=output)
        for bit, places in output.GetBitInfoMap().items():
            for atom, radius in places:
                identifiers[atom, k * (RADIUS + 1) + radius] = max(bit, 1)  # 0 means that there is no label
    out = np.zeros((mol.GetNumAtoms(), identifiers.shape[1]), np.uint32)
    kept = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() > 1]
    # RemoveHs keeps some hydrogens (isotopes, H2): then there are no labels.
    if len(kept) == heavy.GetNumAtoms():
        out[kept] = identifiers
    return out


def atom_labels(mol: Chem.Mol) -> dict[str, np.ndarray]:
    """Atom targets that do not depend on the conformer: ``environments`` and packed ``membership``."""
    return {
        "environments": atom_environments(mol),
        "membership": np.packbits(substructure_membership(mol), axis=1),
    }


def handedness(mol: Chem.Mol, positions: np.ndarray) -> np.ndarray:
    """CIP label of each atom as the geometry has it, int8 [N]: +1 for R, -1 for S, 0 for no stereocentre."""
    mol = Chem.Mol(mol)
    mol.RemoveAllConformers()
    conformer = Chem.Conformer(mol.GetNumAtoms())
    for k, xyz in enumerate(positions):
        conformer.SetAtomPosition(k, Point3D(*map(float, xyz)))
    mol.AddConformer(conformer)
    Chem.AssignStereochemistryFrom3D(mol)
    sign = {"R": 1, "S": -1}
    return np.array([sign.get(a.GetPropsAsDict().get("_CIPCode", ""), 0) for a in mol.GetAtoms()], np.int8)


def molecular_descriptors(mol: Chem.Mol) -> np.ndarray:
    """RDKit's 2D descriptors, float32 [217]; NaN where one is undefined."""
    heavy = Chem.RemoveHs(mol)
    with np.errstate(all="ignore"):
        values = np.array([function(heavy) for _, function in Descriptors._descList], np.float64)
    return np.where(np.abs(values) < 1e30, values, np.nan).astype(np.float32)


def pack_smiles(smiles: list[str], largest: int) -> dict[str, np.ndarray] | None:
    """One ETKDGv3 conformer and the targets of every molecule that embeds."""
    rows: list[dict[str, Any]] = []
    for text in smiles:
        try:
            molecule = read_molecule(text)
            if not 4 <= (molecule.numbers > 1).sum() <= largest:
                continue
            conformer = embed(molecule, SETTINGS)
            positions = integer_positions(conformer.positions[0])
        except (StructureError, ValueError):
            continue
        mol = molecule.mol
        assert mol is not None  # only ASE and XYZ inputs have none
        rows.append(
            atom_labels(mol)
            | {
                "numbers": conformer.numbers,
                "positions": positions,
                "handedness": handedness(mol, conformer.positions[0]),
                "charge": conformer.charge,
                "descriptors": molecular_descriptors(mol),
            }
        )
    if not rows:
        return None
    flat = {
        k: np.concatenate([r[k] for r in rows])
        for k in ("numbers", "positions", "environments", "membership", "handedness")
    }
    flat["offsets"] = np.concatenate([[0], np.cumsum([len(r["numbers"]) for r in rows])])
    flat["charge"] = np.array([r["charge"] for r in rows], np.float32)
    flat["descriptors"] = np.stack([r["descriptors"] for r in rows])
    return flat


def pack_corpus(source: Path, out: Path, count: int, largest: int, n_jobs: int, seed: int) -> None:
    """Write shards ``out/shard_*.npz``; those that exist are kept, so a killed run continues."""
    out.mkdir(parents=True, exist_ok=True)
    smiles = pd.read_csv(source)["smiles"].sample(count, random_state=seed).tolist()
    for k, start in enumerate(range(0, count, SHARD)):
        file = out / f"shard_{k:04d}.npz"
        if file.exists():
            continue
        part = smiles[start : start + SHARD]
        jobs = [joblib.delayed(pack_smiles)(part[i : i + 100], largest) for i in range(0, len(part), 100)]
        done = [d for d in joblib.Parallel(n_jobs=n_jobs)(jobs) if d is not None]
        merged: dict[str, Any] = {
            key: np.concatenate([d[key] for d in done]) for key in done[0] if key != "offsets"
        }
        sizes = np.concatenate([np.diff(d["offsets"]) for d in done])
        merged["offsets"] = np.concatenate([[0], np.cumsum(sizes)])
        temporary = file.with_suffix(".tmp.npz")
        np.savez(temporary, **merged)
        temporary.replace(file)
        print(f"{file.name}: {len(sizes)} of {len(part)} molecules", flush=True)


def pack_xtb(labels: Path, smiles: Path, out: Path) -> None:
    """The corpus's targets for labelled conformers whose atoms stand in SMILES order."""
    data = read_xtb(labels)
    texts = pd.read_csv(smiles).set_index("row")["smiles"]
    atom_targets: list[dict[str, np.ndarray]] = []
    labels_of: dict[int, dict[str, np.ndarray]] = {}
    descriptors: dict[int, np.ndarray] = {}
    for m, row in enumerate(data.group.tolist()):
        mol = Chem.AddHs(Chem.MolFromSmiles(texts[row]))
        atoms = slice(data.offsets[m], data.offsets[m + 1])
        if not np.array_equal(_atomic_numbers(mol), data.numbers[atoms]):
            raise ValueError(f"conformer {m}: its atoms are not those of SMILES {texts[row]!r} (row {row})")
        if row not in descriptors:
            descriptors[row] = molecular_descriptors(mol)
            labels_of[row] = atom_labels(mol)
        chirality = handedness(mol, data.positions[atoms] * POSITION_UNIT)
        atom_targets.append(labels_of[row] | {"handedness": chirality})
    flat: dict[str, Any] = {k: np.concatenate([t[k] for t in atom_targets]) for k in atom_targets[0]}
    np.savez(out, descriptors=np.stack([descriptors[row] for row in data.group.tolist()]), **flat)


def pack_probes(tasks: Path, out: Path, names: list[str] | None, count: int, n_jobs: int, seed: int) -> None:
    """Write ``out/<task>.npz`` with conformers and values of molecules of each task's *training* part."""
    out.mkdir(parents=True, exist_ok=True)
    for task in read_panel(tasks, names):
        train = np.arange(len(task.y)) if task.split is None else np.flatnonzero(task.split == "train")
        chosen = np.random.default_rng(seed).permutation(train)[:count]
        smiles = [task.smiles[k] for k in chosen]
        conformers = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(_embedded)(text) for text in smiles)
        good = [(c, y) for c, y in zip(conformers, task.y[chosen], strict=True) if c is not None]
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


def _embedded(smiles: str) -> Conformers | None:
    try:
        return embed(read_molecule(smiles), SETTINGS)
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
    corpus.add_argument("out", type=Path)
    corpus.add_argument("--count", type=int, default=100_000)
    corpus.add_argument("--largest", type=int, default=45, help="heavy atoms of the largest molecule")
    corpus.add_argument("--n-jobs", type=int, default=1)
    corpus.add_argument("--seed", type=int, default=0)
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
    args = parser.parse_args()
    if args.command == "probe":
        pack_probes(args.tasks, args.out, args.names, args.count, args.n_jobs, args.seed)
    elif args.command == "corpus":
        pack_corpus(args.source, args.out, args.count, args.largest, args.n_jobs, args.seed)
    else:
        pack_xtb(args.labels, args.smiles, args.out)


if __name__ == "__main__":
    main()
