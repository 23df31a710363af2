"""Random crystals in the commonest space groups, with energies.

    python -m skmol3d.trainer.data.synthetic_crystals MOLECULES.npz --out DIR [--seconds 500] [--device cuda]

MOLECULES.npz comes from `python -m skmol3d.trainer.data.crystal_molecules`. Molecules are taken in blocks of
like size; a round gives every block one space group, another one in each round, so that a run that ends early
(``--seconds``) has made crystals of all sizes and groups. Of every block: the optimum of each molecule and
its noisy copies without those that overlap (`skmol3d.crystals.synthesise`), with Buckingham energies (well
depths) and lattice energies of a potential (eV), both per molecule. Runs on a GPU without RDKit, spglib and
most of ASE. `skmol3d.trainer.data.crystal_columns` makes rows of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skmol3d.crystals.energies import buckingham, radii
from skmol3d.crystals.groups import GROUPS
from skmol3d.crystals.packing import Packs, Rigid, atom_pairs, pair_energies
from skmol3d.crystals.synthesis import Synthesis, rigid_molecules, synthesise
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.periodic import PeriodicBatch
from skmol3d.encoders.potential import Potential
from skmol3d.trainer.data.stored_crystals import CrystalMolecules, Writer, rounded

BLOCK = 1024
CUTOFF = 10.0  # Å, of the Buckingham energies
TARGETS = ("buckingham", "mlip")
ATOMS, MORE = 512, 20_000
"""Atoms of crystals whose potential energy is computed together; `MORE` on a CUDA device."""


@dataclass(frozen=True)
class Stock:
    """The molecules on a device, with all that energies need of them."""

    rigid: Rigid
    numbers: Tensor  # [M, n], zero where there is no atom
    counts: Tensor  # [M]
    soft: Rigid  # with the radii of the Buckingham energy
    potential: Potential
    alone: Tensor  # [M], energies in the gas phase without those of the elements, eV


def stock(molecules: CrystalMolecules, index: Sequence[int], potential: Potential, device: str) -> Stock:
    """Molecules ``index`` for `lattice_labels`; the ``potential`` is without its energies of the elements."""
    chosen = [(molecules.numbers[i], molecules.positions[i]) for i in index]
    rigid = rigid_molecules(chosen, [molecules.charges[i] for i in index])
    pad = torch.nn.utils.rnn.pad_sequence
    soft = pad([torch.tensor(radii(n), dtype=torch.float32) for n, _ in chosen], batch_first=True)
    numbers = pad([torch.from_numpy(n) for n, _ in chosen], batch_first=True).to(device)
    rigid = Rigid(*(x.to(device) for x in (rigid.positions, rigid.radii, rigid.charges)))
    counts = (numbers > 0).sum(1)
    batch = AtomBatch(
        numbers[numbers > 0], rigid.positions[numbers > 0], counts, torch.zeros(len(counts), device=device)
    )
    with torch.no_grad():
        alone = potential.energy(batch)
    return Stock(rigid, numbers, counts, replace(rigid, radii=soft.to(device)), potential, alone)


@torch.no_grad()
def lattice_labels(packs: Packs, stock: Stock) -> tuple[Tensor, Tensor]:
    """Buckingham energies and lattice energies of the potential (eV), per molecule: [K], [K]."""
    if not len(packs):
        return packs.places[:, 0], packs.places[:, 0]
    soft = torch.cat(
        [
            pair_energies(
                part,
                stock.soft,
                atom_pairs(part, stock.soft, CUTOFF),
                lambda distances, sums, charges: buckingham(distances, sums),
                CUTOFF,
            )
            for part in (packs[index] for index in torch.arange(len(packs)).split(512))
        ]
    )
    copies = GROUPS[packs.group].molecules
    atoms = stock.counts[packs.molecule].cpu() * copies
    hard = torch.zeros_like(soft)
    order = torch.argsort(atoms, stable=True)
    budget, start = MORE if packs.cells.is_cuda else ATOMS, 0
    while start < len(order):
        # Arrays grow with the square of the atoms: as many crystals of 200 atoms as fit of 100 in half.
        first = int(atoms[order[start]])
        stop = start + max(1, int(budget / first * min(1.0, 160 / first)))
        index = order[start:stop].to(packs.cells.device)
        batch = cells_of(packs[index], stock)
        hard[index] = stock.potential.energy(batch) / copies
        start = stop
    return soft, hard - stock.alone[packs.molecule]


def cells_of(packs: Packs, stock: Stock) -> PeriodicBatch:
    """Primitive cells with all their atoms."""
    group = GROUPS[packs.group]
    copies = group.molecules
    signs, moves = (packs.places.new_tensor(x[:copies]) for x in (group.signs, group.translations))
    centres = (packs.places[:, None] * signs + moves) % 1.0 @ packs.cells  # [K, C, 3]
    posed = packs.posed(stock.rigid)[:, None] * signs[:, None] + centres[:, :, None]
    numbers = stock.numbers[packs.molecule][:, None].expand(-1, copies, -1)
    real = numbers > 0
    return PeriodicBatch(
        numbers[real],
        posed[real],
        stock.counts[packs.molecule] * copies,
        torch.zeros(len(packs), device=real.device),
        cells=packs.places.new_tensor(group.primitive) @ packs.cells,
    )


def make_part(
    stock: Stock, group: int, settings: Synthesis, generator: torch.Generator
) -> dict[str, NDArray[Any]]:
    """Crystals of all molecules in a space group with their energies, as they are stored."""
    chosen = torch.arange(len(stock.counts), device=stock.counts.device)
    packs, optimised = synthesise(stock.rigid, chosen, group, settings, generator)
    packs, stored = rounded(packs)
    soft, hard = lattice_labels(packs, stock)
    return {
        "group": np.full(len(packs), group, np.uint8),
        "molecule": packs.molecule.cpu().numpy(),
        "optimised": optimised.cpu().numpy(),
        **stored,
        "buckingham": soft.float().cpu().numpy(),
        "mlip": hard.float().cpu().numpy(),
    }


def blocks(molecules: CrystalMolecules, rounds: int, seed: int, size: int) -> list[tuple[int, list[int]]]:
    """Space group and molecules of each step of the work."""
    order = np.argsort([len(n) for n in molecules.numbers], kind="stable")
    parts = [order[start : start + size].tolist() for start in range(0, len(order), size)]
    rng = np.random.default_rng(seed)
    numbers = list(GROUPS)
    work = []
    for turn in range(rounds):
        for part in rng.permutation(len(parts)).tolist():
            work.append((numbers[(part + turn) % len(numbers)], parts[part]))
    return work


def main(argv: Sequence[str] | None = None) -> None:
    """Make crystals until the time or the work ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("molecules", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3, help="space groups for each molecule, 6 at most")
    parser.add_argument("--copies", type=int, default=Synthesis.copies)
    parser.add_argument("--steps", type=int, default=Synthesis.steps, help="of descent")
    parser.add_argument("--block", type=int, default=BLOCK, help="molecules at a time")
    parser.add_argument("--count", type=int, help="of molecules, else all")
    parser.add_argument("--skip", type=int, default=0, help="blocks that an earlier run has made")
    parser.add_argument("--model", default="ec-xtb-small", help="potential")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    begun = time.monotonic()
    from skmol3d.hub import from_pretrained

    args.out.mkdir(parents=True, exist_ok=True)
    molecules = CrystalMolecules.read(args.molecules)
    if args.count:
        molecules = replace(
            molecules, **{n: getattr(molecules, n)[: args.count] for n in ("numbers", "positions", "charges")}
        )
    loaded: Any = from_pretrained(args.model)
    potential: Potential = loaded.eval().to(args.device)
    potential.element_energy.zero_()
    settings = Synthesis(steps=args.steps, copies=args.copies)
    writer, written, longest = Writer(args.out, molecules.source), begun, 0.0
    work = blocks(molecules, args.rounds, args.seed, args.block)
    for k, (group, index) in enumerate(work):
        if k < args.skip:
            continue
        start = time.monotonic()
        if start - begun + 1.2 * longest > args.seconds:
            break
        goods = stock(molecules, index, potential, args.device)
        generator = torch.Generator().manual_seed(1000 * args.seed + k)
        try:
            part = make_part(goods, group, settings, generator)
        except torch.OutOfMemoryError:  # others may use the same device
            torch.cuda.empty_cache()
            print(f"block {k + 1} of {len(work)} is left out: out of memory", flush=True)
            continue
        part["molecule"] = np.array(index, np.uint16)[part["molecule"]]
        writer.add(part)
        now = time.monotonic()
        longest = max(longest, now - start)
        print(
            f"{now - begun:.0f} s: block {k + 1} of {len(work)}, group {group}, up to"
            f" {goods.numbers.shape[1]} atoms: {len(part['group'])} of {len(index) * (1 + args.copies)} kept"
            f" in {now - start:.1f} s; {writer.count} crystals",
            flush=True,
        )
        if now - written > 60:
            writer.write()
            written = time.monotonic()
    writer.write()
    print(f"{writer.count} crystals of {len(molecules)} molecules in {args.out}")


if __name__ == "__main__":
    main()
