"""What pretraining is worth to a potential.

``python -m skmol3d.benchmark.experiments.forces TRAIN --test TEST``

A pretrained potential and one with random weights, of the same architecture, train for the same steps on the
same frames, with the settings of a recipe of kind ``potential``; once per seed, which draws the frames, the
batches and the random weights. TRAIN and TEST are extxyz trajectories (.xyz, .xyz.gz) with energies (eV) and
forces (eV/Å), which test files may lack. The recipe's share ``held_out`` of the frames is for validation:
settings are chosen by it, never by a test. Frames that serve training or validation are left out of the
tests, so that TRAIN may be one of these and stands for its other frames.

For any architecture, and frames of several molecules; equivariant convolutions on one molecule train faster
side by side (`experiments.forces_at_once`).

Prints a Markdown table of mean absolute errors: force components (meV/Å) and energies (meV), mean ± standard
deviation over the seeds, and the ratio of the means. A killed command, repeated, goes on from its ``--out``.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skmol3d import hub
from skmol3d.benchmark.report import markdown, spread
from skmol3d.encoders import Potential
from skmol3d.trainer.data.packed import write_packed
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.data.sources import Source, read_set
from skmol3d.trainer.kinds.base import Place
from skmol3d.trainer.kinds.potential import PotentialRecipe
from skmol3d.trainer.pretrain import read_recipe

PRETRAINED, RANDOM = "pretrained", "random"


def frame_keys(data: PackedSet) -> list[bytes]:
    """What makes a frame the same as another: its elements and positions to 0.0001 Å."""
    ends = zip(data.offsets[:-1], data.offsets[1:], strict=True)
    return [
        data.numbers[a:b].tobytes() + np.round(1e4 * data.positions[a:b].astype(float)).astype(int).tobytes()
        for a, b in ends
    ]


def draw(
    sets: dict[str, PackedSet], tests: dict[str, PackedSet], frames: int, seed: int
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """Rows of at most ``frames`` frames of each training set, and rows of test sets that are none of them."""
    rng = np.random.default_rng(seed)
    chosen = {name: np.sort(rng.permutation(len(s))[:frames]) for name, s in sets.items()}
    used: set[bytes] = set()
    for name, rows in chosen.items():
        keys = frame_keys(sets[name])
        used |= {keys[row] for row in rows}
    left = {
        name: np.array([row for row, key in enumerate(frame_keys(s)) if key not in used], int)
        for name, s in tests.items()
    }
    empty = [name for name, rows in left.items() if not len(rows)]
    if empty:
        raise ValueError(f"no frame of {', '.join(empty)} is left for testing: take fewer --frames")
    return chosen, left


def select(data: PackedSet, rows: NDArray) -> PackedSet:
    """The conformers ``rows``, without bonds and each a group of its own."""
    atoms = np.concatenate([np.arange(data.offsets[m], data.offsets[m + 1]) for m in rows])
    return PackedSet(
        numbers=data.numbers[atoms],
        positions=data.positions[atoms],
        offsets=np.concatenate([[0], np.cumsum(data.sizes[rows])]),
        charge=data.charge[rows],
        group=np.arange(len(rows)),
        atom_targets={k: v[atoms] for k, v in data.atom_targets.items()},
        molecule_targets={k: v[rows] for k, v in data.molecule_targets.items()},
    )


def compare(
    recipe: PotentialRecipe, sets: dict[str, PackedSet], tests: dict[str, PackedSet], frames: int, out: Path
) -> dict[str, dict[str, dict[str, float]]]:
    """Metrics of each set, for the recipe's initial weights and for random ones, at the recipe's seed.

    Runs that ``out`` has are continued, or read if they are finished.
    """
    data, found = out / "data", {}
    chosen, left = draw(sets, tests, frames, recipe.seed)
    parts = {name: select(sets[name], rows) for name, rows in chosen.items()}
    parts |= {f"test/{name}": select(tests[name], rows) for name, rows in left.items()}
    for name, part in parts.items():
        if not (data / name).exists():
            write_packed(data / name, part)
    sources = tuple(Source(name) for name in chosen)
    recipe = replace(recipe, data=sources, test=tuple(f"test/{name}" for name in left))
    for start, initial in ((PRETRAINED, recipe.initial), (RANDOM, None)):
        begun = time.perf_counter()
        done = out / start / "metrics.json"
        if not done.exists():
            replace(recipe, initial=initial).run(Place(data, out, out / start, resume=True))
        metrics = json.loads(done.read_text())
        found[start] = {_title(name): values for name, values in metrics.items()}
        print(f"seed {recipe.seed}, {start}: {time.perf_counter() - begun:.0f} s", flush=True)
    return found


def _title(name: str) -> str:
    return name.removeprefix("test test/") if name.startswith("test test/") else f"{name} (validation)"


def table(runs: Sequence[dict[str, dict[str, dict[str, float]]]]) -> str:
    """Markdown from what `compare` returned for each seed."""
    lines = []
    for name, values in runs[0][PRETRAINED].items():
        frames = sorted({int(run[PRETRAINED][name]["molecules"]) for run in runs})
        line = [name, "-".join(map(str, dict.fromkeys((frames[0], frames[-1]))))]
        for metric in ("force_mae", "energy_mae"):
            if metric in values:
                errors = [[1000 * run[start][name][metric] for run in runs] for start in (PRETRAINED, RANDOM)]
                line += [spread(e, 1) for e in errors]
                line.append(f"{np.mean(errors[0]) / np.mean(errors[1]):.2f}")
            else:
                line += ["", "", ""]
        lines.append(line)
    header = ["frames of", "number"]
    for what in ("force MAE (meV/Å)", "energy MAE (meV)"):
        header += [f"{what}, {PRETRAINED}", RANDOM, "ratio"]
    return markdown(lines, header)


def read_all(paths: Sequence[Path]) -> dict[str, PackedSet]:
    """The sets by the names of their files, without endings."""
    names = [path.name.partition(".")[0] for path in paths]
    if len(set(names)) < len(names):
        raise ValueError(f"two files have one name: {', '.join(names)}")
    return {name: read_set(path) for name, path in zip(names, paths, strict=True)}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", type=Path, nargs="+")
    parser.add_argument("--test", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--model", default="et-xtb-small", help="pretrained potential (default: et-xtb-small)"
    )
    parser.add_argument("--recipe", default="finetune-aspirin", help="settings (default: finetune-aspirin)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument("--frames", type=int, default=300, help="of each training file (default: 300)")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, help="keeps data, logs and metrics")
    args = parser.parse_args(argv)
    pretrained = hub.from_pretrained(args.model)
    if not isinstance(pretrained, Potential):
        raise ValueError(f"{args.model} is a {type(pretrained).__name__}, not a potential")
    recipe = read_recipe(args.recipe, args.set)
    recipe = replace(recipe, initial=args.model, model=pretrained.config)
    sets, tests = read_all(args.train), read_all(args.test)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "runs" if args.out is None else args.out
        runs = [
            compare(replace(recipe, seed=seed), sets, tests, args.frames, out / f"seed{seed}")
            for seed in range(args.seeds)
        ]
    schedule = recipe.schedule
    print(
        f"\n{args.frames} frames per training file, of which {recipe.held_out:.0%} for validation; "
        f"{schedule.steps} steps of at most {recipe.atoms} atoms, peak learning rate "
        f"{schedule.learning_rate:g}, weights {recipe.weights}; {args.seeds} seeds; "
        f"pretrained: {args.model}\n"
    )
    print(table(runs))


if __name__ == "__main__":
    main()
