"""``skmol3d pretrain RECIPE``: from a recipe to a checkpoint folder."""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from typing import Any

from skmol3d.trainer.card import write_card

RECIPES = Path(__file__).parent / "recipes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
    parser.add_argument("recipe", help=f"a YAML file, or one that ships: {names}")
    parser.add_argument("--data", type=Path, required=True, help="folder the recipe's data paths start from")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="logs, states and checkpoints (default: runs)")
    parser.add_argument("--resume", action="store_true", help="continue the run found in OUT")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe, e.g. schedule.steps=100"
    )


def run(args: argparse.Namespace) -> None:
    """Train what the recipe describes and write OUT/<name>/ as a checkpoint that `from_pretrained` reads."""
    import torch

    from skmol3d import hub
    from skmol3d.trainer import potential, rem3di

    recipe = read_recipe(args.recipe, args.set)
    logs = args.out / f"{recipe['name']}.run"
    started = time.monotonic()
    if recipe["kind"] == "potential":
        encoder: Any = potential.run(recipe, args.data, logs, args.resume)
    else:
        trained = args.out / recipe["potential"]
        source = str(trained) if trained.exists() else recipe["potential"]
        encoder = rem3di.run(recipe, args.data, logs, args.resume, hub.from_pretrained(source))
    hardware = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} thread(s)"
    card = write_card(recipe, logs, encoder, f"{hardware}, {platform.machine()}, {(time.monotonic() - started) / 60:.0f} min")
    folder = hub.save_pretrained(encoder, args.out / recipe["name"], card, half=True)
    print(f"{folder}: {sum(f.stat().st_size for f in folder.iterdir()) / 1e6:.1f} MB")


def read_recipe(name: str, changes: list[str]) -> dict[str, Any]:
    """Read a recipe and apply ``a.b=value`` changes (values are YAML).

    Raises
    ------
    ValueError
        Unknown recipe, unknown kind, or a change to a key the recipe does not have.
    """
    import yaml

    path = Path(name) if Path(name).suffix in (".yaml", ".yml") else RECIPES / f"{name}.yaml"
    if not path.exists():
        raise ValueError(f"no recipe {name!r}; shipped: {', '.join(sorted(p.stem for p in RECIPES.glob('*.yaml')))}")
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    if recipe.get("kind") not in ("potential", "rem3di"):
        raise ValueError(f"{path}: kind must be 'potential' or 'rem3di', got {recipe.get('kind')!r}")
    for change in changes:
        key, separator, value = change.partition("=")
        *parents, last = key.split(".")
        place = recipe
        for parent in parents:
            place = place.get(parent, {})
        if not separator or last not in place:
            raise ValueError(f"--set {change}: the recipe has no such key")
        place[last] = yaml.safe_load(value)
    return recipe
