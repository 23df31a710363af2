"""``skmol3d pretrain RECIPE``: from a recipe to a checkpoint folder."""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
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
        "--recorded",
        action="store_true",
        help="for small potentials on one GPU, which waits for the CPU to launch their kernels: replay "
        "whole steps as CUDA graphs, on conformers that stay in the GPU's memory",
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
    from skmol3d.inference import find_device
    from skmol3d.trainer.kinds.base import Place
    from skmol3d.trainer.loop import main_process

    recipe = read_recipe(args.recipe, args.set)
    began_with = settings(recipe) | ({"--recorded": True} if args.recorded else {})
    if args.resume:
        check_resumed(began_with, args.out / f"{recipe.name}.run")
    names = ("device", "devices", "nodes", "precision", "recorded", "resume", "n_jobs", "data", "out")
    place = Place(
        logs=args.out / f"{recipe.name}.run",
        settings=began_with,
        **{name: getattr(args, name) for name in names},
    )
    if args.devices < 1 or args.nodes < 1:
        raise ValueError(f"--devices and --nodes must be at least 1, got {args.devices} and {args.nodes}")
    if find_device(args.device) is None:
        raise ValueError(f"--device {args.device} is not available on this machine")
    recipe.check(place)
    if args.resume and not place.continued:
        print(f"--resume: {place.logs} has no state to go on from; the run begins", file=sys.stderr)
    encoder: Any = recipe.run(place)
    if not main_process():
        return
    on_gpu = args.device != "cpu" and torch.cuda.is_available()
    used = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} thread(s)"
    processes = args.devices * args.nodes
    hardware = f"{processes} process(es) on {used}, {platform.machine()}"
    flags = " --recorded" if args.recorded else ""
    card = write_card(recipe, place.logs, encoder, hardware, is_shipped(recipe), flags)
    folder = hub.save_pretrained(encoder, args.out / recipe.name, card, half=recipe.half)
    print(f"{folder}: {sum(f.stat().st_size for f in folder.iterdir()) / 1e6:.1f} MB")


def settings(recipe: Any) -> dict[str, Any]:
    """All that a resumed run must have in common with its beginning: not when it ends."""
    plain: dict[str, Any] = json.loads(json.dumps(config_to_dict(recipe)))
    for end in ("steps", "minutes"):
        plain.get("schedule", {}).pop(end, None)
    return plain


def check_resumed(now: dict[str, Any], logs: Path) -> None:
    """Raise ValueError if the run in ``logs`` began with other settings: its card would not be true."""
    from skmol3d.trainer.kinds.base import SETTINGS, STATE

    began = logs / SETTINGS
    if not (logs / STATE).exists() or not began.exists():
        return
    before = json.loads(began.read_text(encoding="utf-8"))
    differing = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if differing:
        raise ValueError(
            f"--resume: the run in {logs} began with another {', '.join(differing)}; give the same command "
            "to continue it (schedule.steps and schedule.minutes may differ), or begin anew without --resume"
        )


def shipped() -> list[str]:
    """Names of the recipes in the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def is_shipped(recipe: Any) -> bool:
    """Whether this very recipe is in the package."""
    return recipe.name in shipped() and bool(read_recipe(recipe.name, []) == recipe)


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
        if not separator:
            raise ValueError(f"--set {change}: expected KEY=VALUE")
        if not isinstance(place, dict) or last not in place:
            raise ValueError(f"--set {change}: the recipe has no such key")
        place[last] = _plain(value, f"--set {change}")
    keys = [change.partition("=")[0] for change in changes]
    if "data" in keys and "licence" not in keys:
        plain["licence"] = None  # it was for the recipe's data
    return parse_recipe(plain)


def _plain(text: str, where: str) -> Any:
    """What YAML says, and 1e-3, which is a number in YAML 1.2 alone; ValueError names ``where`` it stands."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = sorted({str(key) for key in keys if keys.count(key) > 1})
            if twice:
                raise ValueError(f"{where}: {', '.join(twice)} is there twice")
            return super().construct_mapping(node, deep)

    exponent = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", exponent, list("-+0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: not YAML: {' '.join(str(error).split())}") from error


def _read(name: str, above: tuple[Path, ...] = ()) -> tuple[Path, Any]:
    """File of a recipe, and its plain values with those of its ``base``, which may lie beside it."""
    path = Path(name) if Path(name).suffix in (".yaml", ".yml") else RECIPES / f"{name}.yaml"
    if not path.exists():
        raise ValueError(f"no recipe {name!r}; shipped: {', '.join(shipped())}")
    if path in above:
        raise ValueError(f"{path}: its base leads back to itself")
    try:
        plain = _plain(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8: {error}") from error
    if isinstance(plain, dict) and "base" in plain:
        named = str(plain.pop("base"))
        beside = path.parent / named
        _, base = _read(str(beside) if beside.suffix and beside.exists() else named, (*above, path))
        if not isinstance(base, dict):
            raise ValueError(f"{path}: its base {named} is no recipe")
        if "data" in plain:
            base = base | {"licence": None}  # it was for the base's data
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
