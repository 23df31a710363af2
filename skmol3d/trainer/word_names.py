"""Names for the words of a REM3DI checkpoint: SMARTS and examples, found in molecules.

    python -m skmol3d.trainer.word_names CHECKPOINT SMILES_TABLE

writes ``words.csv`` into the folder CHECKPOINT; `skmol3d.REM3DIFeaturizer.describe_columns` shows it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors

from skmol3d import hub
from skmol3d.encoders.rem3di import REM3DI
from skmol3d.encoders.rem3di.columns import DESCRIPTOR, KINDS, RADII, columns_of
from skmol3d.hub.folder import WORDS
from skmol3d.structures import atom_environments, read_records

FEATURES = ("donor", "acceptor", "aromatic", "halogen", "basic", "acidic")
"""Bits of the identifiers of radius 0 over features, as RDKit's FCFP defines them."""
BONDS = {"SINGLE": "-", "DOUBLE": "=", "TRIPLE": "#", "AROMATIC": ":"}


def name_words(encoder: REM3DI, smiles: Iterable[str]) -> pd.DataFrame:
    """Say what the columns of words of an encoder count.

    Parameters
    ----------
    encoder : REM3DI
        Whose classes have names.
    smiles : iterable of str
        Molecules in which to look for each environment, read until all are found; what RDKit cannot read is
        passed over.

    Returns
    -------
    DataFrame
        A row for each column about an environment or a descriptor: ``column``, ``block``, ``kind``,
        ``radius``, ``identifier``, ``descriptor`` (RDKit's name) and

        - ``smarts``, of atom types: matches the atoms with the environment, in molecules without explicit
          hydrogens. The first atom is the one at the centre. Atoms further out are recursive SMARTS, since
          Morgan's algorithm does not see whether two of them are the same atom of a ring;
        - ``features`` of the atom at the centre, of features;
        - ``example``: a fragment with the environment, SMILES that start at its centre.

        Environments that no molecule has are left without the last three.

    Raises
    ------
    ValueError
        If the encoder has no words, or does not say what they stand for.
    """
    if encoder.words.vocabularies is None or not encoder.words.heads:
        raise ValueError("the checkpoint does not say which environments its words stand for")
    numbered = [(f"{c.block}_{i}", c) for i, c in _numbered(encoder) if c.identifier is not None]
    wanted = {(c.kind, c.radius, c.identifier) for _, c in numbered if c.kind != DESCRIPTOR}
    found: dict[tuple, tuple[str | None, str | None, str]] = {}
    for text in smiles:
        if len(found) == len(wanted):
            break
        mol = Chem.MolFromSmiles(text)
        if mol is None:
            continue
        for atom, identifiers in zip(mol.GetAtoms(), atom_environments(mol).tolist(), strict=True):
            for k, identifier in enumerate(identifiers):
                key = KINDS[k // RADII], k % RADII, identifier
                if key in wanted and key not in found:
                    found[key] = _name(mol, atom, *key[:2], identifiers)
    listed = [name for name, _ in Descriptors.descList]
    rows = []
    for name, column in numbered:
        key = column.kind, column.radius, column.identifier
        told = found.get(key, (None, None, None))
        descriptor = listed[column.identifier] if column.kind == DESCRIPTOR else None
        rows.append((name, column.block, *key, *told, descriptor))
    names = ("column", "block", "kind", "radius", "identifier", "smarts", "features", "example", "descriptor")
    table = pd.DataFrame(rows, columns=list(names))
    return table.astype({"radius": "Int64", "identifier": "Int64"})


def _numbered(encoder: REM3DI) -> Iterable[tuple[int, Any]]:
    seen: dict[str, int] = {}
    for column in columns_of(encoder):
        seen[column.block] = seen.get(column.block, -1) + 1
        yield seen[column.block], column


def _name(
    mol: Chem.Mol, atom: Chem.Atom, kind: str, radius: int, identifiers: list[int]
) -> tuple[str | None, str | None, str]:
    example = _fragment(mol, atom, radius)
    if kind == "atom types":
        return environment_smarts(atom, radius), None, example
    return None, _features(identifiers[RADII]), example


def environment_smarts(atom: Chem.Atom, radius: int) -> str:
    """SMARTS that match what Morgan's algorithm cannot tell from the environment of ``atom``.

    Atoms by element, number of neighbours and hydrogens, charge and whether they are in a ring. Isotopes,
    which it does tell, match as well.
    """
    ring, charge = "R" if atom.IsInRing() else "!R", atom.GetFormalCharge()
    plain = f"[#{atom.GetAtomicNum()};X{atom.GetTotalDegree()};H{atom.GetTotalNumHs()};{charge:+d};{ring}]"
    if not radius:
        return plain
    branches = []
    for bond in atom.GetBonds():
        other = environment_smarts(bond.GetOtherAtom(atom), radius - 1)
        other = f"[$({other})]" if radius > 1 else other
        branches.append(f"{BONDS.get(str(bond.GetBondType()), '~')}{other}")
    return plain + "".join(f"({branch})" for branch in branches)


def _fragment(mol: Chem.Mol, atom: Chem.Atom, radius: int) -> str:
    centre = atom.GetIdx()
    bonds = list(Chem.FindAtomEnvironmentOfRadiusN(mol, radius, centre)) if radius else []
    atoms = {centre}.union(
        *({b.GetBeginAtomIdx(), b.GetEndAtomIdx()} for b in map(mol.GetBondWithIdx, bonds))
    )
    return Chem.MolFragmentToSmiles(mol, list(atoms), bonds, rootedAtAtom=centre, isomericSmiles=False)


def _features(identifier: int) -> str:
    if identifier == 1:  # which stands for no feature, too
        return "none, or donor"
    return ",".join(name for bit, name in enumerate(FEATURES) if identifier >> bit & 1)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="folder")
    parser.add_argument("smiles", help="table of molecules, such as those that it was trained on")
    args = parser.parse_args(argv)
    encoder = hub.from_pretrained(args.checkpoint)
    if not isinstance(encoder, REM3DI):
        raise SystemExit(f"{args.checkpoint}: not a REM3DI")
    texts = (record.structure for record in read_records(args.smiles))
    with rdBase.BlockLogs():
        table = name_words(encoder, (text for text in texts if isinstance(text, str)))
    table.to_csv(args.checkpoint / WORDS, index=False)
    named = table[["example", "descriptor"]].notna().any(axis=1).sum()
    print(f"{args.checkpoint / WORDS}: {named} of {len(table)} columns have a name")


if __name__ == "__main__":
    main()
