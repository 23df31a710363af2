"""Training throughput.

``python -m skmol3d.benchmark.experiments.training_throughput [--input NPZ] [--n 192]``

Molecules per second through whole training steps of a potential (energy, forces as its gradient, loss,
backward, AdamW), ours next to others' implementation of the same architecture with the same weights: EGNN
on PyTorch Geometric, and the Equivariant Transformer of torchmd-net. Before a clock runs, both must give
the same energies and forces in double precision. Every batch is trained on by both in turn, so that a
shared machine's noise hits both alike; on the CPU one thread works, and seconds are its processor time, to
which waiting for other processes does not count. PyTorch Geometric is given its edges (it makes them once per
data set); torchmd-net and skmol3d search neighbours in every step.

Needs ``pip install torch_geometric``, and for the Equivariant Transformer ``pip install torchmd-net``.
"""

import argparse
import copy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from skmol3d.benchmark.report import markdown
from skmol3d.datasets import load_small_organics
from skmol3d.encoders import EGNNConfig, EquivariantTransformerConfig, Potential, PotentialConfig
from skmol3d.inference import prime_malloc
from skmol3d.structures import Conformers, ConformerSettings, generate, read_molecule
from skmol3d.trainer.data.batches import Batch, bucketed
from skmol3d.trainer.data.sets import PackedSet, Row, stack
from skmol3d.trainer.data.xtb import read_xtb

MODELS: dict[str, Any] = {"et": EquivariantTransformerConfig(), "egnn": EGNNConfig()}
RIVALS = {"et": "torchmd-net", "egnn": "PyTorch Geometric"}
TOLERANCE = 1e-8  # relative, in double precision


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, help="xTB set (.npz; default: conformers of the shipped table)")
    parser.add_argument("--n", type=int, default=192, help="molecules (default: 192)")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument(
        "--atoms", nargs="+", type=int, default=[192, 1024], help="atoms per batch (default: 192 1024)"
    )
    parser.add_argument("--repeats", type=int, default=5, help="passes over the molecules (default: 5)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    prime_malloc()  # as training does; both sides gain
    data = read_xtb(args.input) if args.input else shipped(args.n)
    index = np.random.default_rng(0).permutation(len(data))[: args.n]
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    rows = []
    for device in devices:
        for name in args.models:
            for atoms in args.atoms:
                parts = bucketed(data.sizes, index, atoms, np.random.default_rng(0))
                batches = [data.batch(part) for part in parts]
                ours, rival = pair(name, int(data.sizes[index].max()))
                seconds = measure(ours, rival, batches, args.repeats, device)
                speeds = len(index) / np.median(seconds, 0)
                ratios = seconds[:, 1] / seconds[:, 0]
                rows.append(
                    [
                        f"{name}, {sum(p.numel() for p in ours.parameters()):,} weights",
                        device,
                        str(atoms),
                        f"{speeds[0]:.1f}",
                        RIVALS[name],
                        f"{speeds[1]:.1f}",
                        f"{np.median(ratios):.2f} ({ratios.min():.2f}–{ratios.max():.2f})",
                    ]
                )
    print(
        f"{len(index)} molecules, {data.sizes[index].mean():.1f} atoms each on average; "
        f"torch {torch.__version__}; median (range) of {args.repeats} passes\n"
    )
    header = ["model", "device", "atoms per batch", "skmol3d, molecules/s", "rival", "rival, molecules/s"]
    print(markdown(rows, [*header, "skmol3d / rival"]))


def shipped(count: int) -> PackedSet:
    """One conformer each of ``count`` small organics; labels, which do not change the work, are zero."""
    smiles = load_small_organics().data.sample(count, random_state=0)
    conformers = generate([read_molecule(text) for text in smiles], ConformerSettings(), 1)
    rows = [
        Row(
            c.numbers,
            c.positions[0].astype(np.float32),
            c.charge,
            k,
            {"forces": np.zeros((len(c.numbers), 3), np.float32)},
            {"energy": np.float32(0.0)},
        )
        for k, c in enumerate(conformers)
        if isinstance(c, Conformers)
    ]
    return stack(rows)


def pair(name: str, neighbours: int) -> tuple[Potential, Any]:
    """Our potential with random weights and its rival with the same ones.

    Parameters
    ----------
    name : str
        "et" or "egnn".
    neighbours : int
        Most neighbours of an atom, itself included.

    Raises
    ------
    SystemExit
        If the rival's package is missing; it says what to install.
    """
    torch.manual_seed(0)
    ours = Potential(PotentialConfig(MODELS[name]))
    try:
        from skmol3d.benchmark.experiments.rivals import PlainEGNN, TorchMDNet

        if name == "egnn":
            return ours, PlainEGNN(ours)
        nn.init.zeros_(ours.backbone.charge.weight)
        return ours, TorchMDNet(ours, neighbours)
    except ModuleNotFoundError as error:
        packages = "torch_geometric" if name == "egnn" else "torch_geometric torchmd-net"
        raise SystemExit(f"{error}; the rival of {name} needs: pip install {packages}") from error


def check_agreement(ours: Potential, rival: Any, batch: Batch) -> None:
    """Raise a ValueError unless both give the same energies and forces in double precision."""
    atoms = batch[0]
    double = type(atoms)(atoms.numbers, atoms.positions.double(), atoms.counts, atoms.charge.double())
    first, second = copy.deepcopy(ours).double().eval(), copy.deepcopy(rival).double().eval()
    expected, found = first.energy_and_forces(double), second(*second.prepare(double))
    for what, a, b in zip(("energies", "forces"), expected, found, strict=True):
        difference = ((a - b).abs().max() / a.abs().max()).item()
        if not difference < TOLERANCE:
            raise ValueError(f"{what} of the rival differ by {difference:.1e} of the largest")


def measure(ours: Potential, rival: Any, batches: Sequence[Batch], repeats: int, device: str) -> np.ndarray:
    """Seconds [repeats, 2] of training on all batches: ours and the rival's, which take turns.

    Raises
    ------
    ValueError
        If the two do not compute the same.
    """
    batches = [
        (atoms.to(device), {k: v.to(device) for k, v in targets.items()}) for atoms, targets in batches
    ]
    ours, rival = ours.to(device).train(), rival.to(device).train()
    check_agreement(ours, rival, batches[0])
    inputs = [rival.prepare(atoms) for atoms, _ in batches]
    optimisers = [torch.optim.AdamW(model.parameters(), lr=1e-4) for model in (ours, rival)]

    def step(side: int, k: int) -> float:
        atoms, targets = batches[k]
        start = now(device)
        optimisers[side].zero_grad()
        energy, forces = rival(*inputs[k]) if side else ours.energy_and_forces(atoms)
        error = (energy - targets["energy"]).abs() / atoms.counts.sqrt()
        loss = (forces - targets["forces"]).norm(dim=1).mean() + error.mean()
        loss.backward()
        optimisers[side].step()
        return now(device) - start

    for side in (0, 1):  # first calls set things up
        step(side, 0)
    seconds = np.zeros((repeats, 2))
    for repeat in range(repeats):
        for k in range(len(batches)):
            for side in ((0, 1), (1, 0))[(repeat + k) % 2]:
                seconds[repeat, side] += step(side, k)
    return seconds


def now(device: str) -> float:
    """Seconds on the clock, the GPU's work done; on the CPU seconds of work for this process."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
