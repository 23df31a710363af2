"""Train a checkpoint from a recipe."""

import argparse

EXAMPLE = "skmol3d pretrain rem3di-from-smiles --data DIR  # DIR/smiles.csv: SMILES"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command; the trainer knows them."""
    from skmol3d.trainer import pretrain  # an extra: nothing but this command imports it

    pretrain.add_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Train what the recipe describes."""
    from skmol3d.trainer import pretrain
    from skmol3d.trainer.logs import CollapseError
    from skmol3d.trainer.loop import NonFiniteLossError

    try:
        pretrain.run(args)
    except (CollapseError, NonFiniteLossError) as error:  # of the recipe and its data, not of the program
        raise ValueError(str(error)) from error
