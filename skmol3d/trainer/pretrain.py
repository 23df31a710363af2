"""``skmol3d pretrain RECIPE``: from a recipe to a checkpoint folder."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import Any

from skmol3d.trainer.card import write_card

RECIPES = Path(__file__).parent / "recipes"
COMMON = {"kind", "name", "seed", "data", "held_out", "atoms", "model", "weights", "schedule"}
KEYS = {
    "potential": COMMON | {"initial", "test"},
    "rem3di": COMMON | {"potential", "initial", "targets", "masked", "probe", "online"},
    "mo3enet": COMMON | {"augment", "objective"},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
    parser.add_argument("recipe", help=f"a YAML file, or one that ships: {names}")
    parser.add_argument("--data", type=Path, required=True, help="folder the recipe's data paths start from")
    parser.add_argument(
        "--out", type=Path, default=Path("runs"), help="logs, states and checkpoints (default: runs)"
    )
    parser.add_argument("--resume", action="store_true", help="continue the run found in OUT")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    parser.add_argument("--devices", type=int, default=1, help="processes per node (default: 1)")
    parser.add_argument("--nodes", type=int, default=1, help="nodes that train together (default: 1)")
    parser.add_argument(
        "--precision",
        default="32-true",
        choices=("32-true", "bf16-mixed", "16-mixed"),
        help="default: 32-true",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change the recipe, e.g. schedule.steps=100",
    )


def run(args: argparse.Namespace) -> None:
    """Train what the recipe describes and write OUT/<name>/ as a checkpoint that `from_pretrained` reads."""
    import torch

    from skmol3d import hub
    from skmol3d.encoders import Potential
    from skmol3d.trainer.kinds import mo3enet, potential, rem3di
    from skmol3d.trainer.loop import main_process

    hardware = {name: getattr(args, name) for name in ("device", "devices", "nodes", "precision")}
    recipe = read_recipe(args.recipe, args.set)
    logs = args.out / f"{recipe['name']}.run"
    if recipe["kind"] == "potential":
        encoder: Any = potential.run(recipe, args.data, logs, args.resume, **hardware)
    elif recipe["kind"] == "mo3enet":
        encoder = mo3enet.run(recipe, args.data, logs, args.resume, **hardware)
    else:
        trained = args.out / recipe["potential"]
        source = str(trained) if trained.exists() else recipe["potential"]
        backbone = hub.from_pretrained(source)
        if not isinstance(backbone, Potential):
            raise ValueError(f"{source} is a {type(backbone).__name__}, not a potential")
        encoder = rem3di.run(recipe, args.data, logs, args.resume, backbone, **hardware)
    if not main_process():
        return
    on_gpu = args.device != "cpu" and torch.cuda.is_available()
    used = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} thread(s)"
    processes = args.devices * args.nodes
    card = write_card(recipe, logs, encoder, f"{processes} process(es) on {used}, {platform.machine()}")
    folder = hub.save_pretrained(encoder, args.out / recipe["name"], card, half=True)
    print(f"{folder}: {sum(f.stat().st_size for f in folder.iterdir()) / 1e6:.1f} MB")


def read_recipe(name: str, changes: list[str]) -> dict[str, Any]:
    """Read a recipe and apply ``a.b=value`` changes (values are YAML).

    Raises
    ------
    ValueError
        Unknown recipe or kind, missing or unknown keys, or a change to a key the recipe does not have.
    """
    import yaml

    path = Path(name) if Path(name).suffix in (".yaml", ".yml") else RECIPES / f"{name}.yaml"
    if not path.exists():
        raise ValueError(
            f"no recipe {name!r}; shipped: {', '.join(sorted(p.stem for p in RECIPES.glob('*.yaml')))}"
        )
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(recipe, dict) or recipe.get("kind") not in KEYS:
        kind = recipe.get("kind") if isinstance(recipe, dict) else recipe
        raise ValueError(f"{path}: kind must be one of {', '.join(map(repr, KEYS))}, got {kind!r}")
    missing, unknown = KEYS[recipe["kind"]] - recipe.keys(), recipe.keys() - KEYS[recipe["kind"]]
    if missing or unknown:
        raise ValueError(f"{path}: missing keys {sorted(missing)}, unknown keys {sorted(unknown)}")
    for change in changes:
        key, separator, value = change.partition("=")
        *parents, last = key.split(".")
        place = recipe
        for parent in parents:
            place = place.get(parent, {}) if isinstance(place, dict) else {}
        if not separator or not isinstance(place, dict) or last not in place:
            raise ValueError(f"--set {change}: the recipe has no such key")
        place[last] = yaml.safe_load(value)
    return recipe
