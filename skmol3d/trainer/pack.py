"""Pack molecules with conformers and cheap targets for pretraining: the trainer's only part that needs rdkit.

``python -m skmol3d.trainer.pack corpus SMILES.csv.gz OUT --count 100000 --n-jobs 2`` embeds molecules of a
corpus; ``python -m skmol3d.trainer.pack xtb LABELS.npz SMILES.csv.gz OUT.npz`` adds the same targets to
labelled conformers.
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

from skmol3d.structures import ConformerSettings, StructureError, embed, read_molecule
from skmol3d.trainer.data import POSITION_UNIT, read_xtb

RADIUS = 2
GENERATORS = [
    rdFingerprintGenerator.GetMorganGenerator(
        radius=RADIUS, includeRedundantEnvironments=True, atomInvariantsGenerator=invariants
    )
    for invariants in (None, rdFingerprintGenerator.GetMorganFeatureAtomInvGen())
]
DESCRIPTORS = tuple(name for name, _ in Descriptors._descList)
SHARD = 4000


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
    settings = ConformerSettings(relax=None, time_limit=5.0, max_attempts=50)
    for text in smiles:
        try:
            molecule = read_molecule(text)
            if not 4 <= (molecule.numbers > 1).sum() <= largest:
                continue
            conformer = embed(molecule, settings)
        except StructureError:
            continue
        mol = molecule.mol
        assert mol is not None  # only ASE and XYZ inputs have none
        positions = conformer.positions[0] - conformer.positions[0].mean(0)
        rows.append(
            {
                "numbers": conformer.numbers,
                "positions": np.round(positions / POSITION_UNIT).astype(np.int16),
                "environments": atom_environments(mol),
                "handedness": handedness(mol, positions),
                "charge": conformer.charge,
                "descriptors": molecular_descriptors(mol),
            }
        )
    if not rows:
        return None
    flat = {
        k: np.concatenate([r[k] for r in rows])
        for k in ("numbers", "positions", "environments", "handedness")
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
    """Environments, handedness and descriptors for labelled conformers whose atoms stand in SMILES order."""
    data = read_xtb(labels)
    texts = pd.read_csv(smiles).set_index("row")["smiles"]
    environments = np.zeros((len(data.numbers), len(GENERATORS) * (RADIUS + 1)), np.uint32)
    chirality = np.zeros(len(data.numbers), np.int8)
    descriptors: dict[int, np.ndarray] = {}
    for m, row in enumerate(data.group):
        mol = Chem.AddHs(Chem.MolFromSmiles(texts[row]))
        atoms = slice(data.offsets[m], data.offsets[m + 1])
        if not np.array_equal(_atomic_numbers(mol), data.numbers[atoms]):
            raise ValueError(f"conformer {m}: its atoms are not those of SMILES {texts[row]!r} (row {row})")
        environments[atoms] = atom_environments(mol)
        chirality[atoms] = handedness(mol, data.positions[atoms] * POSITION_UNIT)
        if row not in descriptors:
            descriptors[int(row)] = molecular_descriptors(mol)
    stacked = np.stack([descriptors[int(row)] for row in data.group])
    np.savez(out, environments=environments, handedness=chirality, descriptors=stacked)


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
    args = parser.parse_args()
    if args.command == "corpus":
        pack_corpus(args.source, args.out, args.count, args.largest, args.n_jobs, args.seed)
    else:
        pack_xtb(args.labels, args.smiles, args.out)


if __name__ == "__main__":
    main()
