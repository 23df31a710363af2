"""Parameters of featurizers as options of the command line, read off their constructors and docstrings."""

from __future__ import annotations

import argparse
import inspect
import re
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from skmol3d.featurizers import (
    CrystalFeaturizer,
    MoleculeFeaturizer,
    StructureFeaturizer,
    all_featurizers,
)
from skmol3d.featurizers.crystal import EMBEDDINGS
from skmol3d.featurizers.crystal_rows import BASELINES

DEFAULT = "rem3di-small"

HANDLED = ("model", "molecule", "errors", "verbose", "sparse_output")
"""Parameters that the command line has other words for, or no use."""

PREFIX = "parameter_"
"""Of options in the namespace, where their names must not meet those of the command: one is `output`."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a constructor.

    Attributes
    ----------
    types : set of type
        From the annotation; NoneType among them where None is allowed.
    default : object
    choices : str or None
        What the docstring lists in braces, as the command line spells it.
    summary : str
        First sentence of the docstring.
    """

    types: set[Any]
    default: Any
    choices: str | None
    summary: str

    def help(self) -> str:
        """Text of the option."""
        default = "none" if self.default is None and self.choices else self.default
        if default is None or isinstance(default, bool):
            return self.summary
        shown = ",".join(default) if isinstance(default, tuple) else default
        return f"{self.summary} (default: {shown})"

    def add_to(self, parser: Any, name: str) -> argparse.Action:
        """Declare the option; one that is not given stays out of the namespace."""
        settings: dict[str, Any] = {"dest": PREFIX + name, "default": argparse.SUPPRESS}
        if bool in self.types:
            settings["action"] = argparse.BooleanOptionalAction
        else:
            plain = {int: "N", float: "X", tuple: "A,B"}
            kind = next((metavar for kind, metavar in plain.items() if kind in self.types), None)
            settings["type"] = self.read
            settings["metavar"] = kind or self.choices or name.rpartition("_")[2].upper()
        action: argparse.Action = parser.add_argument(f"--{name.replace('_', '-')}", **settings)
        return action

    def read(self, text: str) -> Any:
        """Value that a text stands for; ArgumentTypeError if it is none."""
        if NoneType in self.types and text.lower() == "none":
            return None
        if tuple in self.types:
            return tuple(text.split(","))
        kind = next(kind for kind in (int, float, str) if kind in self.types)
        try:
            return kind(text)
        except ValueError as error:
            word = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"expected {word}, got {text!r}") from error


def parameters(cls: type[StructureFeaturizer]) -> dict[str, Parameter]:
    """Parameters of a featurizer that the command line reaches, by name."""
    hints = get_type_hints(cls.__init__)
    documented = re.findall(
        r"^(\w+(?:, \w+)*)(?: : (.*))?\n((?: {4}.*\n|\n)+)", inspect.cleandoc(cls.__doc__ or ""), re.MULTILINE
    )
    texts = {name: (kind, text) for names, kind, text in documented for name in names.split(", ")}
    found = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if name in HANDLED:
            continue
        hint, (kind, text) = hints[name], texts.get(name, ("", ""))
        listed = re.search(r"\{.*\}", kind)
        first = " ".join(re.split(r"(?<!e\.g)[.:]\s|(?<=.{25});\s", inspect.cleandoc(text) + "\n")[0].split())
        found[name] = Parameter(
            types={get_origin(t) or t for t in (get_args(hint) if isinstance(hint, UnionType) else (hint,))},
            default=parameter.default,
            choices=re.sub(r"[\" ]", "", listed.group()).replace("None", "none") if listed else None,
            summary=re.sub(r"\(\"(\w+)\",\)|\"([\w:]+)\"", r"\1\2", first.replace("`", "")),
        )
    return found


def add_parameters(parser: Any) -> dict[str, argparse.Action]:
    """Declare every parameter of every featurizer once; which of them apply depends on the model."""
    classes: list[type[StructureFeaturizer]] = [*kinds().values(), CrystalFeaturizer]
    all_of_them = {name: parameter for cls in classes for name, parameter in parameters(cls).items()}
    return {name: parameter.add_to(parser, name) for name, parameter in all_of_them.items()}


def explain_parameters(actions: dict[str, argparse.Action], classes: list[type[StructureFeaturizer]]) -> None:
    """Let the help show the parameters of these featurizers alone, in the words of the last one."""
    known = {name: parameter for cls in classes for name, parameter in parameters(cls).items()}
    for name, action in actions.items():
        action.help = known[name].help().replace("%", "%%") if name in known else argparse.SUPPRESS


def featurizer_classes(
    model: str | None, revision: str | None, crystals: bool
) -> list[type[StructureFeaturizer]]:
    """Featurizers at work: that of the crystals, if there are any, and that of the molecules."""
    classes: list[type[StructureFeaturizer]] = [CrystalFeaturizer] if crystals else []
    if not (crystals and model in BASELINES):
        classes.append(featurizer_class(model or _default(crystals), revision))
    return classes


def _default(crystals: bool) -> str:
    return EMBEDDINGS["mo3enet"] if crystals else DEFAULT


def given_parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Parameters that were given, by name."""
    return {name.removeprefix(PREFIX): value for name, value in vars(args).items() if name.startswith(PREFIX)}


def kinds() -> dict[str, type[MoleculeFeaturizer]]:
    """Featurizers of molecules, by the kind of checkpoint that each runs, or its own name if it needs none.

    A featurizer is found here as soon as the package exports it.
    """
    found: dict[str, type[MoleculeFeaturizer]] = {}
    for cls in all_featurizers():
        own = getattr(cls, "encoder_name", cls.__name__.removesuffix("Featurizer").lower())
        found |= dict.fromkeys((own, *getattr(cls, "other_encoders", ())), cls)
    return found


def without_checkpoint() -> list[str]:
    """Names of the featurizers that need no checkpoint."""
    return [name for name, cls in kinds().items() if "model" not in inspect.signature(cls).parameters]


def featurizer_class(model: str, revision: str | None = None) -> type[MoleculeFeaturizer]:
    """Featurizer of molecules for what the user calls the model.

    Raises
    ------
    skmol3d.hub.CheckpointError
        If it is neither a featurizer without a checkpoint nor a checkpoint.
    ValueError
        If the checkpoint is not one that gives rows.
    """
    known = kinds()
    if model in without_checkpoint():
        return known[model]
    from skmol3d.hub import encoder_name, find_checkpoint

    kind = encoder_name(find_checkpoint(model, revision)[1])
    if kind not in known:
        usable = ", ".join(name for name in known if name not in without_checkpoint())
        raise ValueError(f"{model} is a checkpoint of {kind}, which gives no rows; expected one of {usable}")
    return known[kind]


def make_featurizer(
    model: str | None, crystals: bool = False, given: dict[str, Any] | None = None
) -> StructureFeaturizer:
    """Build the featurizer of a model, with its checkpoint pinned.

    Parameters
    ----------
    model : str or None
        Checkpoint or ``"ecfp"``; for crystals also one of the `BASELINES`. None stands for the default.
    crystals : bool, default=False
        The inputs are molecular crystals, and the model describes their molecules.
    given : dict of str to object, optional
        Parameters other than the default ones.

    Returns
    -------
    StructureFeaturizer
        With ``errors="nan"``.

    Raises
    ------
    skmol3d.hub.CheckpointError
        If the checkpoint cannot be found or is damaged.
    ValueError
        If a parameter does not apply, or has a value that makes no sense.
    """
    given = given or {}
    classes = featurizer_classes(model, given.get("revision"), crystals)
    known = dict.fromkeys(name for cls in classes for name in parameters(cls))
    foreign = [name for name in given if name not in known]
    if foreign:
        names = [", ".join(f"--{name.replace('_', '-')}" for name in group) for group in (foreign, known)]
        raise ValueError(f"{names[0]}: not for {model or 'the default model'}, which takes {names[1]}")
    described: Any = model  # one of the baselines, unless there is a featurizer of molecules:
    if classes[-1] is not CrystalFeaturizer:
        wanted = ({"output": "vector"} if crystals else {}) | given
        settings = {name: value for name, value in wanted.items() if name in parameters(classes[-1])}
        for choice in getattr(classes[-1], "selections", ()):  # of columns; it is no block
            if settings.get("blocks") == (choice,):
                settings["blocks"] = choice
        if "model" in inspect.signature(classes[-1]).parameters:
            settings["model"] = model or _default(crystals)
        described = classes[-1](**settings, errors="nan").fit(())
    if not crystals:
        return described
    own = {name: value for name, value in given.items() if name in parameters(CrystalFeaturizer)}
    return CrystalFeaturizer(molecule=described, **own, errors="nan").fit(())
