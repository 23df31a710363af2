"""Mirror images: of two enantiomers one is embedded, and the other is its reflection."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from skmol3d.structures.errors import StructureError, rdkit_errors
from skmol3d.structures.molecule import Molecule, from_graph


class Embedded(NamedTuple):
    """What is embedded in the place of a molecule.

    Attributes
    ----------
    molecule : Molecule
        The molecule itself, or its mirror image.
    places : ndarray of int64, shape [N], or None
        For each atom of the molecule its place in the mirror image; None for the molecule itself.
    """

    molecule: Molecule
    places: NDArray[np.int64] | None

    def turned_back(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions [C, N, 3] of the molecule from those of what was embedded."""
        return positions if self.places is None else -positions[:, self.places]


def embedded_enantiomer(molecule: Molecule) -> Embedded:
    """Which of a molecule and its mirror image is embedded: the one whose canonical SMILES is smaller.

    Molecules that are their own mirror image, or carry no marks, stand for themselves, and so do those that
    brought coordinates.
    """
    if molecule.smiles is None or molecule.coordinates is not None or "@" not in molecule.smiles:
        return Embedded(molecule, None)
    # In the text, because marks of double bonds may depend on those of stereocentres in RDKit's own terms.
    reflected = re.sub("@@?", lambda mark: "@" if mark[0] == "@@" else "@@", molecule.smiles)
    with rdkit_errors():
        graph = Chem.MolFromSmiles(reflected)
        try:
            image = from_graph(graph)
        except StructureError:  # a spelling that RDKit cannot read back
            return Embedded(molecule, None)
        assert image.smiles is not None
        heavy = _order(graph, image.smiles) if image.smiles < molecule.smiles else None
    return (
        Embedded(molecule, None)
        if heavy is None
        else Embedded(image, _with_hydrogens(heavy, molecule, image))
    )


def _order(mol: Chem.Mol, smiles: str) -> list[int] | None:
    """Atoms of `mol` in the order of its canonical SMILES; None if it leads to another one."""
    order = list(range(mol.GetNumAtoms()))
    for _ in range(10):  # `canonical_smiles` goes on until the spelling repeats itself
        text = Chem.MolToSmiles(mol)
        order = [order[i] for i in mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]]
        if text == smiles:
            return order
        mol = Chem.MolFromSmiles(text)
    return None


def _with_hydrogens(heavy: list[int], molecule: Molecule, image: Molecule) -> NDArray[np.int64]:
    # Atoms of the text come first in both, then the hydrogens that were added, which are alike on each atom.
    places = np.empty(len(molecule.numbers), np.int64)
    places[heavy] = np.arange(len(heavy))
    own, other = (_hydrogens(mol, len(heavy)) for mol in (molecule.mol, image.mol))
    for place, atom in enumerate(heavy):
        places[own[atom]] = other[place]
    return places


def _hydrogens(mol: Chem.Mol | None, start: int) -> list[list[int]]:
    assert mol is not None  # only bare geometries have none
    neighbours = ([n.GetIdx() for n in mol.GetAtomWithIdx(i).GetNeighbors()] for i in range(start))
    return [[n for n in around if n >= start] for around in neighbours]
