"""What rows know of a conformer: its GFN2-xTB energy and dipole among the conformers of its molecule.

``python -m skmol3d.benchmark.experiments.three_dimensions MOLECULES OUT [--molecules 300]``

MOLECULES is a file with SMILES that nothing was trained on (say ``lipo.csv`` of the panel, whose
molecules are kept out of the corpus); of these, neutral ones of 10 to 25 heavy atoms with at least three
rotatable bonds and every stereocentre marked are drawn at random. Their conformers (ETKDGv3, relaxed with
MMFF94) are labelled with GFN2-xTB once: OUT keeps them, and rows too, so that the command continues where
it was stopped and another checkpoint costs no more than its encoding.

Ridge on standardised rows, penalty by cross-validation over molecules, is trained on 70 % of them. What
is asked within molecules are differences from the mean of the molecule's conformers, of rows and of
labels alike. Prints for the other molecules the mean Spearman correlation within a molecule (± its
standard error) and the share of the variance within molecules that is explained, for dipoles also the
share of all their variance. Rows that see no geometry (ECFP; the words, where the input has a graph) are
the same for all conformers of a molecule, and have zero within molecules by construction. Next to them
stand one or two numbers that are models of the label themselves: the energy that MMFF94 (which relaxed
these conformers) gives with the dipole of Gasteiger's charges, and the energies of potentials.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers, rdMolDescriptors, rdPartialCharges
from rdkit.Chem.EnumerateStereoisomers import GetStereoisomerCount
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmol3d import ECFPFeaturizer, PotentialFeaturizer, REM3DIFeaturizer
from skmol3d.benchmark.report import markdown
from skmol3d.calculator import potential_energies
from skmol3d.encoders.potential import Potential
from skmol3d.hub import from_pretrained
from skmol3d.structures import ConformerSettings, read_molecule, read_records
from skmol3d.structures.conformers import EV_PER_KCAL_MOL
from skmol3d.structures.xtb import DEBYE
from skmol3d.trainer.data.labelling import label_file
from skmol3d.trainer.data.positions import POSITION_UNIT

ALPHAS = np.logspace(-1, 6, 8)
FOLDS = 5
HEAVY_ATOMS, ROTATABLE = (10, 25), 3
TRAIN = 0.7
APART = 0.01  # kcal/mol: conformers whose energies differ by less are the same one, or its mirror image
FEWEST = 4  # conformers of a molecule, else there is little to rank
SHAPE = (
    *("CalcPMI1", "CalcPMI2", "CalcPMI3", "CalcNPR1", "CalcNPR2", "CalcRadiusOfGyration", "CalcPBF"),
    *("CalcInertialShapeFactor", "CalcEccentricity", "CalcAsphericity", "CalcSpherocityIndex"),
)
FIELDS = ("CalcAUTOCORR3D", "CalcRDF", "CalcMORSE", "CalcWHIM")


def suitable(mol: Chem.Mol | None) -> bool:
    """Whether a molecule is drug-like in size, flexible, neutral, in one piece, and one stereoisomer."""
    return (
        mol is not None
        and HEAVY_ATOMS[0] <= mol.GetNumHeavyAtoms() <= HEAVY_ATOMS[1]
        and rdMolDescriptors.CalcNumRotatableBonds(mol) >= ROTATABLE
        and Chem.GetFormalCharge(mol) == 0
        and len(Chem.GetMolFrags(mol)) == 1
        and GetStereoisomerCount(mol) == 1
    )


def drawn(path: Path, count: int) -> list[str]:
    """At most ``count`` suitable molecules of a file, in random order, each once."""
    texts = sorted({r.structure for r in read_records(path) if isinstance(r.structure, str)})
    found: list[str] = []
    for k in np.random.default_rng(0).permutation(len(texts)):
        if len(found) == count:
            break
        if suitable(Chem.MolFromSmiles(texts[k])):
            found.append(texts[k])
    return found


def distinct(energies: NDArray[np.float64], molecules: NDArray[np.int64]) -> NDArray[np.intp]:
    """Places of the conformers to use: no two alike, and none of a molecule with fewer than four."""
    chosen: list[int] = []
    for molecule in np.unique(molecules):
        places = np.flatnonzero(molecules == molecule)
        places = places[np.argsort(energies[places], kind="stable")]
        apart = [int(places[0])]
        for place in places[1:]:
            if energies[place] - energies[apart[-1]] >= APART:
                apart.append(int(place))
        if len(apart) >= FEWEST:
            chosen += apart
    return np.array(sorted(chosen), dtype=np.intp)


def centred(values: NDArray, molecules: NDArray[np.int64]) -> NDArray[np.float64]:
    """Differences from the mean over the molecule's conformers; exactly zero where all of them agree."""
    out = np.array(values, dtype=np.float64)
    for molecule in np.unique(molecules):
        mask = molecules == molecule
        out[mask] -= out[mask][0]  # otherwise the mean's rounding would be left, and scaled to one
        out[mask] -= out[mask].mean(0)
    return out


def within_spearman(truth: NDArray, found: NDArray, molecules: NDArray[np.int64]) -> tuple[float, float]:
    """Mean over molecules of Spearman's correlation, and its standard error; zero where nothing is told."""
    scores = []
    for molecule in np.unique(molecules):
        mask = molecules == molecule
        told = np.ptp(found[mask]) > 0 and np.ptp(truth[mask]) > 0
        scores.append(float(spearmanr(truth[mask], found[mask]).statistic) if told else 0.0)
    return float(np.mean(scores)), float(np.std(scores) / np.sqrt(len(scores)))


def explained(truth: NDArray, found: NDArray) -> float:
    """Share of the variance that is explained (R²)."""
    return 1 - float(((truth - found) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def labels(molecules: Path, out: Path, conformers: int, n_jobs: int | None) -> dict[str, NDArray]:
    """GFN2-xTB labels of the conformers, made once."""
    if not out.exists():
        settings = ConformerSettings(n_conformers=conformers, relax="mmff")
        done = label_file(molecules, out, settings=settings, n_jobs=n_jobs, verbose=1)
        print(f"{done.conformers} conformers labelled, {len(done.failures)} failures\n", flush=True)
    with np.load(out) as arrays:
        return dict(arrays)


def conformer_mols(
    smiles: Sequence[str], data: dict[str, NDArray], chosen: NDArray[np.intp]
) -> list[Chem.Mol]:
    """The chosen conformers as molecules of their own, in the geometry that was labelled."""
    graphs = [read_molecule(text).mol for text in smiles]
    mols = []
    for k in chosen:
        mol = Chem.Mol(graphs[data["row"][k]])
        atoms = slice(*data["offsets"][k : k + 2])
        if not np.array_equal([atom.GetAtomicNum() for atom in mol.GetAtoms()], data["numbers"][atoms]):
            raise ValueError(f"{smiles[data['row'][k]]}: its labels are those of other atoms")
        conformer = Chem.Conformer(mol.GetNumAtoms())
        conformer.SetPositions(data["positions"][atoms] * POSITION_UNIT)
        mol.AddConformer(conformer)
        mols.append(mol)
    return mols


def descriptors(mols: Sequence[Chem.Mol], names: Sequence[str]) -> NDArray[np.float64]:
    """Descriptors of RDKit, by the names of its functions; without those that some molecule does not have."""
    rows = np.array([np.hstack([getattr(rdMolDescriptors, name)(mol) for name in names]) for mol in mols])
    return rows[:, np.isfinite(rows).all(axis=0)].astype(np.float64)


def classical(mol: Chem.Mol) -> tuple[float, float]:
    """Energy of MMFF94 (zero where it has no parameters) and dipole of Gasteiger's charges, e·Å."""
    rdPartialCharges.ComputeGasteigerCharges(mol)
    charges = [atom.GetDoubleProp("_GasteigerCharge") for atom in mol.GetAtoms()]
    dipole = float(np.linalg.norm(charges @ mol.GetConformer().GetPositions()))
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    if properties is None:
        return 0.0, dipole
    return rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties).CalcEnergy(), dipole


def all_rows(
    mols: Sequence[Chem.Mol], model: str, potentials: Sequence[str], cache: Path
) -> Iterator[tuple[str, NDArray]]:
    """Rows of each method, one method after the other."""
    ours = REM3DIFeaturizer(model=model, cache_dir=str(cache), verbose=1)
    rows = ours.fit_transform(mols)
    names = ours.get_feature_names_out()
    yield "REM3DI, all columns", rows
    for block in dict.fromkeys(name.split("_")[1] for name in names):
        yield f"REM3DI, {block}", rows[:, [name.split("_")[1] == block for name in names]]
    for potential in potentials:
        pooled = PotentialFeaturizer(model=potential, cache_dir=str(cache), verbose=1)
        yield f"{potential}, pooled", pooled.fit_transform(mols)
    yield "ECFP counts", ECFPFeaturizer(count=True).fit_transform(mols)
    yield "RDKit shape", descriptors(mols, SHAPE)
    yield "RDKit autocorrelation, RDF, MoRSE, WHIM", descriptors(mols, FIELDS)
    yield "MMFF94 energy, dipole of Gasteiger charges", np.array([classical(mol) for mol in mols])
    atoms = [
        Atoms([atom.GetAtomicNum() for atom in mol.GetAtoms()], mol.GetConformer().GetPositions())
        for mol in mols
    ]
    for potential in potentials:
        encoder = from_pretrained(potential)
        assert isinstance(encoder, Potential)  # PotentialFeaturizer took it
        yield f"energy of {potential}", potential_energies(encoder, atoms)[:, None]


def predicted(
    X: NDArray, y: NDArray, molecules: NDArray[np.int64], train: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Predictions for the other rows of a ridge regression on the training rows."""
    X = X[:, np.ptp(X[train], axis=0) > 0]
    if not X.shape[1]:
        return np.full((~train).sum(), y[train].mean())
    # Not leave-one-out: differences of a molecule add up to zero, so that the others give the last away.
    folds = list(GroupKFold(FOLDS).split(X[train], groups=molecules[train]))
    model = make_pipeline(StandardScaler(), RidgeCV(ALPHAS, cv=folds))
    return model.fit(X[train], y[train]).predict(X[~train])


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", type=Path, help="molecules, as for featurize: .smi, .csv, ...")
    parser.add_argument("out", type=Path, help="folder that keeps labels and rows")
    parser.add_argument("--molecules", type=int, default=300)
    parser.add_argument("--conformers", type=int, default=8, help="of each molecule")
    parser.add_argument("--model", default="rem3di-small")
    parser.add_argument("--potential", nargs="+", default=["ec-xtb-small", "ec-xtb-forces"])
    parser.add_argument("--n-jobs", type=int, help="processes that label (default: 1)")
    args = parser.parse_args(argv)
    smiles = drawn(args.input, args.molecules)
    folder = args.out / f"{args.input.stem}_{args.molecules}x{args.conformers}"
    folder.mkdir(parents=True, exist_ok=True)
    table, text = folder / "molecules.smi", "".join(f"{line}\n" for line in smiles)
    if table.exists() and table.read_text() != text:
        raise ValueError(f"{table} has other molecules than those of {args.input}; remove {folder}")
    table.write_text(text)
    data = labels(table, folder / "labels.npz", args.conformers, args.n_jobs)
    energies = data["energy"] / EV_PER_KCAL_MOL
    chosen = distinct(energies, data["row"])
    mols = conformer_mols(smiles, data, chosen)
    molecules = data["row"][chosen]
    train = molecules < TRAIN * len(smiles)
    energy = centred(energies[chosen], molecules)
    dipoles = np.linalg.norm(data["dipole"][chosen], axis=1) * DEBYE
    dipole = centred(dipoles, molecules)
    print(
        f"{len(chosen)} distinct conformers of {len(np.unique(molecules))} molecules, "
        f"{(~train).sum()} of {len(np.unique(molecules[~train]))} to test on; standard deviation within "
        f"molecules: {energy.std():.2f} kcal/mol, {dipole.std():.2f} D\n",
        flush=True,
    )
    lines = []
    for name, rows in all_rows(mols, args.model, args.potential, folder / "cache"):
        differences = centred(rows, molecules)
        cells = [name, f"{rows.shape[1]}"]
        for truth in (energy, dipole):
            found = predicted(differences, truth, molecules, train)
            rank, error = within_spearman(truth[~train], found, molecules[~train])
            cells += [f"{rank:.2f} ± {error:.2f}", f"{explained(truth[~train], found):.2f}"]
        found = predicted(np.asarray(rows, dtype=np.float64), dipoles, molecules, train)
        lines.append([*cells, f"{explained(dipoles[~train], found):.2f}"])
    heads = ["energy: Spearman within", "R² within", "dipole: Spearman within", "R² within", "R² overall"]
    print(markdown(lines, ["rows", "columns", *heads]))


if __name__ == "__main__":
    main()
