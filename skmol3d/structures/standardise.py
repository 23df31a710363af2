"""Which part of a drawing is the molecule: the same rules for every featurizer, switched by `standardise`.

``"parent"`` (the default of every featurizer)
    1. *Metals drawn as covalent salts are disconnected*: bonds of alkali and alkaline earth metals (Li to
       Cs, Be to Ba) to N, O, S, Se and halogens become charges, as in ``CC(=O)O[Na]`` →
       ``CC(=O)[O-].[Na+]``, by RDKit's `rdMolStandardize.MetalDisconnector`. Their bonds to carbon and all
       bonds of other metals stay: what is a complex or an organometallic compound is not its ligand.
       (Encoders refuse metals they do not know.) Drawn as ions (``N.N.[Cl-].[Cl-].[Pt+2]``) it cannot be told
       from a salt: beside ions of Tc, Ru, Rh, Pd, Re, Os, Ir, Pt, Au and Hg, whose bonds are hardly ever
       ionic, that is an error; beside those of other metals the ligand counts.
    2. *The parent is kept*: of several fragments the largest organic one, where organic means that it
       contains carbon, and the most heavy atoms, then the greater mass, then the later canonical SMILES
       decide. Counter-ions, solvents and water go. If no fragment contains carbon and they are not all the
       same, nothing says which one is meant, and that is an error: ``[Na+].[Cl-]`` is not one of its ions.
    3. *Charges stay as drawn*: aspirin and its sodium salt are two molecules, with two rows.

``"neutral"``
    The parent as above, and then protons are added or removed until it is neutral, by RDKit's
    `rdMolStandardize.Uncharger` with ``protonationOnly``: aspirin and its sodium salt give one row, and so
    do an amine and its hydrochloride. Charges that no proton explains stay (quaternary ammonium, nitro
    groups, N-oxides), and so does one opposite charge for each of them (betaine stays a zwitterion). Given
    coordinates stay, except those of the hydrogens of positive atoms, which are placed anew.

``None``
    As drawn, all fragments together. Fragments of a molecule without coordinates cannot be placed in
    space, so that featurizers of geometries report it; fingerprints count all of them.

Tautomers, isotopes and stereo marks stay as they are under all three. No rule depends on the order of atoms.
Geometries without bonds (XYZ, ASE) are taken whole, whatever the choice.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from rdkit import Chem
from rdkit.Chem.MolStandardize import rdMolStandardize

from skmol3d.structures.errors import StructureError
from skmol3d.structures.geometry import atoms_of

METALS = (3, 11, 19, 37, 55, 4, 12, 20, 38, 56)
COVALENT_METALS = (43, 44, 45, 46, 75, 76, 77, 78, 79, 80)
PARTNERS = (7, 8, 9, 16, 17, 34, 35, 53)


def standardised(mol: Chem.Mol, how: str | None) -> Chem.Mol:
    """Apply the rules of this module to a sanitized molecule, with or without coordinates.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        Stays as it is.
    how : {"parent", "neutral", None}
        See the module's text.

    Raises
    ------
    StructureError
        If there are several fragments and none is organic, or the others hold one of `COVALENT_METALS`.
    """
    if how is None:
        return mol
    if any(atom.GetAtomicNum() in METALS and atom.GetDegree() for atom in atoms_of(mol)):
        mol = _disconnector().Disconnect(mol)
    mol = _parent(mol)
    if how == "neutral" and any(atom.GetFormalCharge() for atom in atoms_of(mol)):
        mol = _uncharger().uncharge(_without_acidic_hydrogens(mol))
    return mol


def _without_acidic_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    """Make the explicit hydrogens of positive atoms implicit: RDKit's uncharger does not remove atoms."""
    if not mol.GetNumConformers():
        return Chem.RemoveHs(mol)
    mol = Chem.RWMol(mol)
    removed = []
    for atom in mol.GetAtoms():
        if atom.GetFormalCharge() > 0:
            own = [n.GetIdx() for n in atom.GetNeighbors() if n.GetAtomicNum() == 1 and not n.GetIsotope()]
            atom.SetNumExplicitHs(atom.GetTotalNumHs() + len(own))
            atom.SetNoImplicit(True)
            removed += own
    mol.BeginBatchEdit()
    for index in removed:
        mol.RemoveAtom(index)
    mol.CommitBatchEdit()
    Chem.SanitizeMol(mol)
    return mol


def _parent(mol: Chem.Mol) -> Chem.Mol:
    if len(Chem.GetMolFrags(mol)) == 1:  # indices cost nothing, molecules as much as parsing
        return mol
    fragments = Chem.GetMolFrags(mol, asMols=True)
    names = [Chem.MolToSmiles(fragment) for fragment in fragments]
    organic, *_, smiles = max(map(_rank, fragments, names))
    if not organic and len(set(names)) > 1:
        raise StructureError(f"no organic parent: {', '.join(sorted(set(names)))}"[:200])
    parent = fragments[names.index(smiles)]
    for fragment, name in zip(fragments, names, strict=True):
        if fragment is not parent and any(
            atom.GetAtomicNum() in COVALENT_METALS for atom in atoms_of(fragment)
        ):
            raise StructureError(f"a complex drawn as ions: beside {name} its ligand is not the molecule")
    return parent


def _rank(fragment: Chem.Mol, smiles: str) -> tuple[bool, int, float, str]:
    elements = [atom.GetAtomicNum() for atom in fragment.GetAtoms()]
    mass = sum(atom.GetMass() + 1.008 * atom.GetTotalNumHs() for atom in fragment.GetAtoms())
    return 6 in elements, sum(z > 1 for z in elements), round(mass, 3), smiles


@cache
def _disconnector() -> Any:
    def any_of(numbers: tuple[int, ...]) -> str:
        return f"[{','.join(f'#{z}' for z in numbers)}]"

    disconnector = rdMolStandardize.MetalDisconnector()
    disconnector.SetMetalNof(Chem.MolFromSmarts(f"{any_of(METALS)}~{any_of(PARTNERS)}"))
    disconnector.SetMetalNon(Chem.MolFromSmarts("[#0]~[#0]"))  # nothing: the second of RDKit's two patterns
    return disconnector


@cache
def _uncharger() -> Any:
    return rdMolStandardize.Uncharger(canonicalOrder=True, force=False, protonationOnly=True)
