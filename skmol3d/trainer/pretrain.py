"""``skmol3d pretrain RECIPE``: from a recipe to a checkpoint folder."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import Any

from skmol3d.encoders.config import config_from_dict, config_to_dict
from skmol3d.trainer.card import write_card
from skmol3d.trainer.kinds import KINDS, recipe_class

RECIPES = Path(__file__).parent / "recipes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    names = ", ".join(shipped())
    parser.add_argument("recipe", help=f"a YAML file, or one that ships: {names}")
    parser.add_argument("--data", type=Path, required=True, help="folder the recipe's data paths start from")
    parser.add_argument(
        "--out", type=Path, default=Path("runs"), help="logs, states and checkpoints (default: runs)"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the run found in OUT; it equals one that was not interrupted if steps alone, not "
        "minutes, end it, and no conformers are embedded while it trains",
    )
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
        "--n-jobs",
        type=int,
        default=1,
        help="processes that embed the molecules of a file of SMILES (default: 1)",
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
    from skmol3d.trainer.kinds.base import Place
    from skmol3d.trainer.loop import main_process

    recipe = read_recipe(args.recipe, args.set)
    names = ("device", "devices", "nodes", "precision", "resume", "n_jobs", "data", "out")
    place = Place(logs=args.out / f"{recipe.name}.run", **{name: getattr(args, name) for name in names})
    encoder: Any = recipe.run(place)
    if not main_process():
        return
    on_gpu = args.device != "cpu" and torch.cuda.is_available()
    used = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} thread(s)"
    processes = args.devices * args.nodes
    hardware = f"{processes} process(es) on {used}, {platform.machine()}"
    card = write_card(recipe, place.logs, encoder, hardware)
    folder = hub.save_pretrained(encoder, args.out / recipe.name, card, half=recipe.half)
    print(f"{folder}: {sum(f.stat().st_size for f in folder.iterdir()) / 1e6:.1f} MB")


def shipped() -> list[str]:
    """Names of the recipes in the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def read_recipe(name: str, changes: list[str]) -> Any:
    """Read a recipe and apply ``a.b=value`` changes (values are YAML).

    Returns
    -------
    Recipe
        Of its kind. ``data`` may be written as paths and shares, ``{path: share}``; a recipe with ``base:
        NAME`` has what it does not say itself from that one, and so have its mappings (not its data).

    Raises
    ------
    ValueError
        Unknown recipe or kind, missing, unknown or wrong values, or a change to a key the recipe does not
        have.
    """
    import yaml

    path, plain = _read(name)
    kind = plain.get("kind") if isinstance(plain, dict) else plain
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{path}: kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    if changes:
        plain = config_to_dict(parse_recipe(plain))
    for change in changes:
        key, separator, value = change.partition("=")
        *parents, last = key.split(".")
        place = plain
        for parent in parents:
            place = place.get(parent, {}) if isinstance(place, dict) else {}
        if not separator or not isinstance(place, dict) or last not in place:
            raise ValueError(f"--set {change}: the recipe has no such key")
        place[last] = yaml.safe_load(value)
    return parse_recipe(plain)


def _read(name: str) -> tuple[Path, Any]:
    """File of a recipe, and its plain values with those of its ``base``."""
    import yaml

    path = Path(name) if Path(name).suffix in (".yaml", ".yml") else RECIPES / f"{name}.yaml"
    if not path.exists():
        raise ValueError(f"no recipe {name!r}; shipped: {', '.join(shipped())}")
    plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    if isinstance(plain, dict) and "base" in plain:
        _, base = _read(str(plain.pop("base")))
        # Not its data, which are a mapping where they are paths and shares.
        both = [k for k in plain.keys() & base.keys() if isinstance(plain[k], dict) and k != "data"]
        plain = base | plain | {k: base[k] | plain[k] for k in both}
    return path, plain


def parse_recipe(plain: dict[str, Any]) -> Any:
    """A recipe of its kind from plain values; the reverse of `config_to_dict`."""
    data = plain.get("data")
    if isinstance(data, dict):
        plain = plain | {"data": [{"path": path, "share": share} for path, share in data.items()]}
    return config_from_dict(recipe_class(plain["kind"]), plain, "recipe")
