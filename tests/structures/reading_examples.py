"""The same three molecules in every format, and what the reader makes of bytes."""

import io

import pandas as pd
from rdkit import Chem
from rdkit.Chem import AllChem

from skmol3d.structures import StructureError, read_records

SMILES = ["CCO", "c1ccccc1", "CC(=O)O"]


def records(content, format, **columns):
    """Records of bytes, as from a pipe."""
    return list(read_records(io.BytesIO(content), format=format, **columns))


def structures(content, format):
    return [record.structure for record in records(content, format)]


def reasons(content, format):
    return [str(s) if isinstance(s, StructureError) else None for s in structures(content, format)]


def block(smiles, title=""):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    mol.SetProp("_Name", title)
    return Chem.MolToMolBlock(mol)


def content(format):
    """The three molecules with names and, where the format has any, a value `y`."""
    rows = [(f"mol{i}", smiles, str(i / 2)) for i, smiles in enumerate(SMILES)]
    if format == "smi":
        return "".join(f"{smiles} {name}\n" for name, smiles, _ in rows).encode()
    if format in ("csv", "tsv"):
        mark = "\t" if format == "tsv" else ","
        return "\n".join(mark.join(row) for row in [("id", "smiles", "y"), *rows]).encode()
    if format == "parquet":
        stream = io.BytesIO()
        pd.DataFrame(rows, columns=["id", "smiles", "y"]).to_parquet(stream)
        return stream.getvalue()
    if format in ("sdf", "mol"):
        return "".join(f"{block(smiles, name)}> <y>\n{y}\n\n$$$$\n" for name, smiles, y in rows).encode()
    frames = []
    for name, smiles, y in rows:
        lines = Chem.MolToXYZBlock(Chem.MolFromMolBlock(block(smiles), removeHs=False)).splitlines()
        frames += [lines[0], f"name={name} y={y}", *lines[2:]]
    return "\n".join(frames).encode()
