"""The architecture of a checkpoint with random weights: what is its training worth?

    python -m skmol3d.benchmark.experiments.random_checkpoint rem3di-small FOLDER [--seed 0]

writes a checkpoint folder, the same for the same seed and version of torch. All weights are new, those of an
encoder's backbone, too, unless ``--keep-backbone`` asks what the training above it is worth. A REM3DI keeps
its vocabulary, which is no weight: what it counts in a molecular graph needs no training.
``skmol3d benchmark --methods rem3di rem3di:FOLDER`` compares the two.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from skmol3d import hub
from skmol3d.encoders.rem3di import REM3DI

MEASURED = ("scalar_mean", "scalar_std", "vector_rms")  # of a backbone's features


def reinitialised(encoder: nn.Module, seed: int, keep_backbone: bool = False) -> nn.Module:
    """An encoder of the same configuration with random weights; those of a REM3DI's backbone may be kept.

    Of a REM3DI the columns are not compressed, nor properties estimated of them: that is measured, not drawn.
    Its words keep their names and columns.

    Raises
    ------
    ValueError
        If there is no backbone to keep.
    """
    if keep_backbone and not isinstance(encoder, REM3DI):
        raise ValueError(f"{type(encoder).__name__} has no backbone whose weights could be kept")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config: Any = encoder.config
        if isinstance(encoder, REM3DI):
            config = replace(config, dense=0, properties=0)
        made: Any = type(encoder)(config).eval()
    if isinstance(encoder, REM3DI):
        for name, vocabulary in encoder.words.named_buffers():
            made.words.get_buffer(name).copy_(vocabulary)
        if keep_backbone:
            made.backbone.load_state_dict(encoder.backbone.state_dict())
            for name in MEASURED:
                made.get_buffer(name).copy_(encoder.get_buffer(name))
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Write the folder and say what is in it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="bundled name, folder or Hub id")
    parser.add_argument("folder", type=Path, help="where to write the checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: 0)")
    parser.add_argument("--keep-backbone", action="store_true", help="a REM3DI's: only what is above is new")
    args = parser.parse_args(argv)
    encoder = reinitialised(hub.from_pretrained(args.model), args.seed, args.keep_backbone)
    trained = "Nothing but the backbone" if args.keep_backbone else "Nothing"
    card = (
        f"# {args.model} with random weights\n\nThe architecture of {args.model}, weights drawn with seed "
        f"{args.seed}. {trained} was trained: a baseline for comparisons, of no use otherwise.\n"
    )
    print(f"random weights (seed {args.seed}): {hub.save_pretrained(encoder, args.folder, card)}")


if __name__ == "__main__":
    main()
