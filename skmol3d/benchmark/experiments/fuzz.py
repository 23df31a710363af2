"""Hostile inputs end to end: ``python -m skmol3d.benchmark.experiments.fuzz [--n 10000]``.

Random, mangled and extreme inputs go through ``REM3DIFeaturizer(errors="nan")``. Each must give a finite row
or a reason, never both nor neither; and rows computed again from another spelling must be the same. Exits
with status 1 if not. With ``--files N``, N damaged files of every format are read instead, with ``--cif N``
damaged CIF files, with ``--parse N`` the hostile inputs without what comes after: each record must be a
molecule (a crystal) or have a reason, and nothing may raise or hang.
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from ase.data import chemical_symbols
from rdkit import Chem, rdBase

from skmol3d.benchmark.experiments import fuzz_cif, fuzz_files
from skmol3d.featurizers import REM3DIFeaturizer, cache
from skmol3d.structures import StructureError, read_molecule

ALPHABET = "CNOPSFIBclnosp[]()=#$:/\\@+-.%0123456789HBrSiNaFeU*~ {}Å\x00"
EXTREMES: tuple[object, ...] = (
    *(None, math.nan, "", " ", ".", "C.", "()", "[]", "%", 0, 1.5, True, b"CCO", ("CCO",), object()),
    *(
        "C" * 1000,
        "C" * 100_000,
        "(" * 5000,
        "C(" * 300 + ")" * 300,
        "C1CC1" * 100,
        "[" * 1000,
        "c1ccccc1" * 20,
    ),
    *(
        "[H]",
        "[H][H]",
        "[H+]",
        "[2H][3H]",
        "[He]",
        "[U]",
        "[CH2]",
        "[C]",
        "[CH3]",
        "[C-4]",
        "[999C]",
        "[CH3:99]",
    ),
    *(
        "[Fe+2]",
        "[Pt](Cl)(Cl)(N)N",
        "[Fe]12345(C6=C1C2=C3C4=C56)",
        "F[S@OH5](F)(F)(F)(F)Cl",
        "C->[Fe]",
        "C[Hg]C",
    ),
    *("[Na+].[Cl-]", "[O-][N+](=O)c1ccccc1.[K+].[K+].O.O", "C12C3C4C1C5C2C3C45", "C1#CC1", "C12=C3C1=C23"),
    *(
        "InChI=1S/",
        "InChI=1S/C60",
        "InChI=1S/CH4/h1H4",
        "/etc/passwd.sdf",
        ".sdf",
        "\x00.mol",
        "C(C",
        "C1CC",
        "*",
    ),
    *("N[C@@H](C)C(=O)" * 49 + "O", "NCC(=O)" * 70 + "O", Chem.Mol()),  # peptides of about 500 atoms
)


def hostile_inputs(seeds: Sequence[str], count: int, seed: int = 0) -> Iterator[object]:
    """The extreme inputs, then valid, mangled, random and geometric ones made from `seeds` (valid SMILES)."""
    rng = np.random.default_rng(seed)
    kinds = (_as_it_is, _mangled, _mangled, _mangled, _noise, _bracket, _geometry)
    for i in range(count):
        text = seeds[int(rng.integers(len(seeds)))]
        yield EXTREMES[i] if i < len(EXTREMES) else kinds[int(rng.integers(len(kinds)))](rng, text)


def _as_it_is(rng: np.random.Generator, text: str) -> object:
    return text


def _mangled(rng: np.random.Generator, text: str) -> object:
    """One to three characters inserted, replaced, deleted or moved to another place."""
    letters = list(text)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(letters) + 1))
        removed = letters[at : at + int(rng.integers(0, 2))]
        letters[at : at + len(removed)] = (
            [ALPHABET[rng.integers(len(ALPHABET))]] if rng.random() < 0.6 else []
        )
        if rng.random() < 0.2:
            at = int(rng.integers(len(letters) + 1))
            letters[at:at] = removed
    return "".join(letters)


def _noise(rng: np.random.Generator, text: str) -> object:
    return "".join(ALPHABET[i] for i in rng.integers(len(ALPHABET), size=rng.integers(1, 40)))


def _bracket(rng: np.random.Generator, text: str) -> object:
    """Any element in any charge state as an ion, a radical, a neighbour or a bridge."""

    def pick(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    atom = (
        f"[{pick(chemical_symbols[1:93])}{pick(('', 'H', 'H2', 'H4'))}{pick(('', '', '+', '-', '+3', '-2'))}]"
    )
    return pick(("{0}", "C{0}", "C{0}C", "{0}.{1}", "{1}{0}", "{0}(C)(C)(C)C", "Cl{0}Cl")).format(atom, text)


def _geometry(rng: np.random.Generator, text: str) -> object:
    """A molecule with coordinates that are noise, coincident, far apart, or not finite."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(text)
    scale = (0.0, 0.01, 2.0, 1e6)[rng.integers(4)]
    positions = rng.normal(scale=scale, size=(mol.GetNumAtoms(), 3))
    if rng.random() < 0.3:
        positions[rng.integers(len(positions)), rng.integers(3)] = rng.choice([math.nan, math.inf, 1e300])
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(positions)
    conformer.Set3D(True)
    mol.AddConformer(conformer)
    return mol


def other_spelling(value: object, seed: int) -> str | None:
    """Another SMILES of the same molecule, where the input is text that parses."""
    if not isinstance(value, str):
        return None
    try:
        smiles = read_molecule(value).smiles
    except StructureError:
        return None
    if smiles is None:
        return None
    with rdBase.BlockLogs():
        return Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 1, seed)[0]


def run(model: str, count: int, seed: int, time_limit: float = 10.0, respelled: int = 200) -> list[str]:
    """Featurize, print counts by outcome, and return what was wrong."""
    from skmol3d.datasets import load_small_organics

    inputs = list(hostile_inputs(list(load_small_organics().data), count, seed))
    featurizer = REM3DIFeaturizer(model=model, errors="nan", time_limit=time_limit)
    start = time.perf_counter()
    rows = featurizer.fit_transform(inputs)
    seconds = time.perf_counter() - start
    failures = featurizer.failures_
    failed = np.zeros(len(inputs), dtype=bool)
    failed[failures["index"]] = True
    wrong = [f"{len(rows)} rows for {len(inputs)} inputs"] if len(rows) != len(inputs) else []
    finite, empty = np.isfinite(rows).all(axis=1), np.isnan(rows).all(axis=1)
    wrong += [
        f"[{i}] {inputs[i]!r:.80}: no reason, row not finite" for i in np.flatnonzero(~finite & ~failed)
    ]
    wrong += [f"[{i}] {inputs[i]!r:.80}: a reason, yet a row" for i in np.flatnonzero(failed & ~empty)]
    wrong += [
        f"[{i}] failed without saying why" for i in failures["index"][failures["reason"].str.strip() == ""]
    ]

    again = [
        (i, other_spelling(inputs[i], seed=int(i)))
        for i in np.flatnonzero(finite)[:: max(1, count // respelled)]
    ]
    places, spellings = zip(*[(i, text) for i, text in again if text is not None], strict=True)
    cache.clear()  # or the rows would be looked up rather than computed
    repeated = featurizer.transform(list(spellings))
    distance = np.abs(repeated - rows[list(places)]).max(axis=1) / np.abs(rows[list(places)]).max(axis=1)
    wrong += [
        f"[{i}] {inputs[i]!r:.80} and its other spelling {text} differ by {d:.1e}"
        for i, text, d in zip(places, spellings, distance, strict=True)
        if not d < 1e-4
    ]
    reasons = Counter(reason.split(":")[0].split(" (")[0][:60] for reason in failures["reason"])
    print(f"{len(inputs)} inputs in {seconds:.0f} s: {int(finite.sum())} rows, {len(failures)} reported")
    print(
        f"{len(places)} rows computed again from another spelling: largest difference {distance.max():.1e}\n"
    )
    for reason, number in reasons.most_common(25):
        print(f"{number:7d}  {reason}")
    return wrong


def parse(count: int, seed: int) -> list[str]:
    """Read `count` hostile inputs, print counts by outcome, and return what was wrong."""
    from skmol3d.datasets import load_small_organics

    def outcome(value: object) -> list[str]:
        try:
            read_molecule(value)
        except StructureError as error:
            return [str(error)]
        return ["molecule"]

    inputs = hostile_inputs(list(load_small_organics().data), count, seed)
    return fuzz_files.judge("hostile inputs", ((f"{v!r:.80}", partial(outcome, v)) for v in inputs))


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=10_000, help="inputs (default: 10000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-limit", type=float, default=10.0, help="seconds per molecule (default: 10)")
    parser.add_argument("--model", default="rem3di-small")
    parser.add_argument("--files", type=int, metavar="N", help="read N damaged files instead")
    parser.add_argument("--cif", type=int, metavar="N", help="read N damaged CIF files instead")
    parser.add_argument("--parse", type=int, metavar="N", help="read N inputs, without conformers and rows")
    args = parser.parse_args(argv)
    if args.files:
        wrong = fuzz_files.run(args.files, args.seed)
    elif args.cif:
        wrong = fuzz_cif.run(args.cif, args.seed)
    elif args.parse:
        wrong = parse(args.parse, args.seed)
    else:
        wrong = run(args.model, args.n, args.seed, args.time_limit)
    print("\n" + ("\n".join(wrong) if wrong else "nothing was wrong"))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
