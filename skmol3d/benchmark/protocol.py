"""The comparison itself: methods x tasks x heads, on given splits or repeated cross-validation."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles
from sklearn.base import clone
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold, StratifiedGroupKFold
from tqdm import tqdm

from skmol3d.benchmark.heads import check_heads, fit_head
from skmol3d.benchmark.scores import METRIC, score
from skmol3d.benchmark.seen import seen
from skmol3d.structures import StructureError, read_molecule

if TYPE_CHECKING:
    from skmol3d.datasets import Task

PROTOCOL_VERSION = 3  # part of every stored result's key: raise it when a head or a grid changes

FOLDS = (5, 1)  # of tasks without a split of their own

Split = tuple[int, int, NDArray[np.intp], NDArray[np.intp]]  # repeat, fold, training rows, test rows


def unique_smiles(tasks: Sequence["Task"]) -> list[str]:
    """Return the distinct SMILES of all tasks in order of first appearance: what a method featurizes."""
    return list(dict.fromkeys(smiles for task in tasks for smiles in task.smiles))


def _features(name: str, method: Any, smiles: list[str]) -> NDArray[np.float32]:
    if isinstance(method, np.ndarray):
        matrix = method
    elif not hasattr(method, "transform"):
        matrix = method(smiles)
    else:
        method = clone(method)
        if "errors" in method.get_params():
            method.set_params(errors="nan")
        matrix = method.fit_transform(smiles)
        matrix = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)
    if matrix.ndim != 2 or len(matrix) != len(smiles):
        raise ValueError(
            f"method {name!r} gave features of shape {matrix.shape}; "
            f"expected one row for each of the {len(smiles)} distinct SMILES"
        )
    return matrix.astype(np.float32, copy=False)


def parent(smiles: str) -> str:
    """The same text for all spellings and salts of a molecule; what is no molecule, as it is."""
    try:
        return read_molecule(smiles).smiles or smiles
    except StructureError:
        return smiles


def scaffold(smiles: str) -> str:
    """Murcko scaffold of the `parent`; the parent itself where it has no ring, or is none."""
    smiles = parent(smiles)
    mol = Chem.MolFromSmiles(smiles)
    return smiles if mol is None else MurckoScaffoldSmiles(mol=mol) or smiles


def _splits(
    task: "Task", kept: NDArray[np.bool_], cv: tuple[int, int] | None, folds: str, seed: int
) -> list[Split]:
    """Splits in terms of the kept rows."""
    y = np.asarray(task.y)[kept]
    if cv is None and task.split is not None:
        part = np.asarray(task.split)[kept]
        splits = [(0, 0, np.flatnonzero(part == "train"), np.flatnonzero(part == "test"))]
    else:
        cv = cv or FOLDS
        classes, members = np.unique(y, return_counts=True)
        if task.kind == "cls" and members.min() < cv[0]:
            raise ValueError(
                f"task {task.name!r}: {members.min()} molecules of class {classes[members.argmin()]:g}, "
                f"too few for {cv[0]} folds; take fewer by cv=(n_splits, n_repeats), --cv KxR"
            )
        smiles = [text for text, keep in zip(task.smiles, kept, strict=True) if keep]
        pairs = _scaffold_folds if folds == "scaffold" else _random_folds
        splits = [
            (i // cv[0], i % cv[0], *pair) for i, pair in enumerate(pairs(task.kind, smiles, y, cv, seed))
        ]
    for _, _, train, test in splits:
        if not len(train) or not len(test):
            raise ValueError(f"task {task.name!r}: {len(train)} training and {len(test)} test rows")
        if task.kind == "cls" and min(len(np.unique(y[train])), len(np.unique(y[test]))) < 2:
            raise ValueError(
                f"task {task.name!r}: a training or test part holds one class only; "
                "take fewer folds by cv=(n_splits, n_repeats), --cv KxR, or random ones"
            )
    return splits


def _random_folds(
    kind: str, smiles: list[str], y: NDArray, cv: tuple[int, int], seed: int
) -> Iterator[tuple[NDArray, NDArray]]:
    # A molecule that is there twice would be tested by the model that has learned it.
    molecules, _ = pd.factorize(np.array([parent(text) for text in smiles], object))
    once = y[np.unique(molecules, return_index=True)[1]]
    family = RepeatedKFold if kind == "reg" else RepeatedStratifiedKFold
    for parts in family(n_splits=cv[0], n_repeats=cv[1], random_state=seed).split(once, once):
        train, test = (np.flatnonzero(np.isin(molecules, part)) for part in parts)
        yield train, test


def _scaffold_folds(
    kind: str, smiles: list[str], y: NDArray, cv: tuple[int, int], seed: int
) -> Iterator[tuple[NDArray, NDArray]]:
    groups = [scaffold(text) for text in smiles]
    # Folds of like sizes, of numbers as if they were one class: a shuffled GroupKFold has others.
    classes = y if kind == "cls" else np.zeros(len(y))
    for repeat in range(cv[1]):
        family = StratifiedGroupKFold(cv[0], shuffle=True, random_state=seed + repeat)
        yield from family.split(y, classes, groups)


def _run(
    X: NDArray,
    y: NDArray,
    splits: list[Split],
    head: str,
    seed: int,
    smiles: list[str],
    constants: dict[str, Any],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One task, method and head on all splits: scores, and predictions for the test parts."""
    kind = constants["kind"]
    rows, predictions = [], []
    for repeat, fold, train, test in splits:
        start = time.perf_counter()
        try:
            fit = fit_head(head, kind, X[train], y[train], X[test], seed)
        except ValueError as error:
            raise ValueError(f"task {constants['task']!r}, head {head}: {error}") from error
        split = {"repeat": repeat, "fold": fold}
        rows.append(
            constants
            | split
            | {
                "metric": METRIC[kind],
                "score": score(kind, y[test], fit.prediction),
                "inner_score": fit.inner_score,
                "chosen": " ".join(f"{name}={value}" for name, value in fit.chosen.items()),
                "n_train": len(train),
                "n_test": len(test),
                "seconds": round(time.perf_counter() - start, 3),
            }
        )
        tested = {"smiles": [smiles[i] for i in test], "y": y[test], "prediction": fit.prediction}
        predictions.append(pd.DataFrame(split | tested))
    return pd.DataFrame(rows), pd.concat(predictions, ignore_index=True)


def _key(X: NDArray, y: NDArray, splits: list[Split], head: str, seed: int, kind: str) -> str:
    """What a stored result depends on: the very features, targets and splits, head, seed and kind of task."""
    digest = hashlib.sha256(repr((PROTOCOL_VERSION, X.shape, head, seed, kind)).encode())
    for array in (X, y, *(rows for _, _, *pair in splits for rows in pair)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _run_or_load(folder: Path | None, *job: Any) -> pd.DataFrame:
    X, y, splits, head, seed, _, constants = job
    if folder is None:
        return _run(*job)[0]
    # Tasks may be called "Ki, nM/L", and the folder of a checkpoint has slashes, too.
    task, method = (quote(constants[part], safe="+@= ") for part in ("task", "method"))
    # With the key in the name, a run in which other molecules are dropped does not displace this one.
    name = f"{task}__{method}__{constants['head']}__{_key(X, y, splits, head, seed, constants['kind'])}.csv"
    path, predicted = folder / "results" / name, folder / "predictions" / name
    if path.exists():
        # What the task says of itself may have changed, and "7.4" would be read as a number.
        return pd.read_csv(path).assign(**constants)
    result, predictions = _run(*job)
    result["predictions"] = name
    # Written beside and renamed, so that an interrupted run leaves no half table behind; the result comes
    # last, so that where there is one there are its predictions.
    for table, target in ((predictions, predicted), (result, path)):
        partial = target.with_suffix(".partial")
        table.to_csv(partial, index=False)
        partial.replace(target)
    return result


def evaluate(
    methods: Mapping[str, Any],
    tasks: Sequence["Task"],
    heads: Sequence[str] = ("linear", "forest", "kernel"),
    cv: tuple[int, int] | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    out: str | Path | None = None,
    verbose: int = 0,
    folds: str = "random",
) -> pd.DataFrame:
    """Compare featurization methods on tasks.

    Each method featurizes the distinct SMILES of all tasks once. A molecule that any method cannot featurize
    (a row without one finite value) is left out of the task for *all* methods, and counted. Hyper-parameters
    are chosen within each training part, by the same search for every method (`skmol3d.benchmark.heads`).

    Parameters
    ----------
    methods : mapping of str to featurizer, function or ndarray
        Stateless scikit-learn transformers from SMILES to features (those with an ``errors`` parameter run
        with ``errors="nan"``), functions that do the same with a row of NaN for a failure, or matrices with
        one row for each of ``unique_smiles(tasks)``. Heads get all columns of every method.
    tasks : sequence of Task
        Tasks with distinct names.
    heads : sequence of {"linear", "forest", "kernel", "unscaled", "default"}
        Estimators to put on the features.
    cv : (n_splits, n_repeats), optional
        Repeated (stratified) k-fold; by default each task's own train/test split, or five folds where it
        has none.
    seed : int
        Seed of the folds and heads; the folds are the same for every method.
    n_jobs : int, optional
        Worker processes over (task, method, head).
    out : path, optional
        Folder that keeps the result of each (task, method, head) in ``results/`` and its test predictions
        (columns ``repeat, fold, smiles, y, prediction``) in ``predictions/``. A run that was interrupted, or
        another with more methods or heads, computes what is missing: a stored result counts if it stems from
        the same features, targets, splits and seed.
    verbose : int
        Show a progress bar over (task, method, head) if not 0.
    folds : {"random", "scaffold"}, default="random"
        Of `cv`: at random, or molecules of one Murcko scaffold together, so that the test part has scaffolds
        that the training part has not. Spellings and salts of one molecule are in the same part in any case.
        (Splits that tasks bring are taken as they are.)

    Returns
    -------
    DataFrame
        One row per task, method, head, repeat and fold: ``task, kind, unit, method, n_failed`` (failures of
        this method), ``n_dropped`` (rows left out for all methods), ``head, repeat, fold, metric`` (MAE in
        the task's unit, or AUROC), ``score`` (test part), ``inner_score`` (training part), ``chosen, n_train,
        n_test, seconds``, ``predictions`` (with `out`: the name of their file), and ``n_seen``, the test
        molecules that the method's checkpoint has met in training under labels of another kind (see
        `skmol3d.benchmark.seen`).

    Raises
    ------
    ValueError
        For unknown heads or folds, repeated task names, folds by scaffold of tasks with splits when `cv` is
        None, features of the wrong shape, or a part with one class only, or too few of it for a head.
    """
    check_heads(heads)
    if folds not in ("random", "scaffold"):
        raise ValueError(f"folds must be 'random' or 'scaffold', got {folds!r}")
    if folds != "random" and cv is None and any(task.split is not None for task in tasks):
        raise ValueError(
            f"folds={folds!r}: these tasks have splits of their own; "
            "give cv=(n_splits, n_repeats), --cv KxR, to make others"
        )
    names = [task.name for task in tasks]
    if len(set(names)) < len(names):
        raise ValueError(f"task names must be distinct, got {names}")
    smiles = unique_smiles(tasks)
    position = {text: row for row, text in enumerate(smiles)}
    features = {name: _features(name, method, smiles) for name, method in methods.items()}
    failed = {name: np.asarray(np.isnan(matrix).all(axis=1)) for name, matrix in features.items()}
    dropped: NDArray[np.bool_] = np.any(list(failed.values()), axis=0)
    met = {name: seen(str(getattr(method, "model", "")), smiles) for name, method in methods.items()}
    n_seen: dict[tuple[str, str, int, int], int] = {}
    folder = None if out is None else Path(out)
    if folder is not None:
        for name in ("results", "predictions"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def jobs() -> Iterator[Any]:
        for task in tasks:
            rows = np.array([position[text] for text in task.smiles])
            kept = ~dropped[rows]
            y = np.asarray(task.y)[kept]
            splits = _splits(task, kept, cv, folds, seed)
            names = [text for text, keep in zip(task.smiles, kept, strict=True) if keep]
            for name, matrix in features.items():
                for repeat, fold, _, test in splits:
                    n_seen[task.name, name, repeat, fold] = int(met[name][rows[kept]][test].sum())
                for head in dict.fromkeys(heads):
                    constants = {
                        "task": task.name,
                        "kind": task.kind,
                        "unit": task.unit,
                        "method": name,
                        "n_failed": int(failed[name][rows].sum()),
                        "n_dropped": int((~kept).sum()),
                        "head": head,
                    }
                    yield delayed(_run_or_load)(
                        folder, matrix[rows[kept]], y, splits, head, seed, names, constants
                    )

    done = Parallel(n_jobs=n_jobs, return_as="generator")(jobs())
    total = len(tasks) * len(methods) * len(set(heads))
    results = pd.concat(list(tqdm(done, "evaluate", total, disable=not verbose)), ignore_index=True)
    splits = results[["task", "method", "repeat", "fold"]].itertuples(index=False, name=None)
    return results.assign(n_seen=[n_seen[split] for split in splits])
