"""Recipe kind ``potential``: a backbone with an energy head, trained on any of the objectives for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from skmol3d import hub
from skmol3d.encoders.backbones import BACKBONES
from skmol3d.encoders.config import config_to_dict
from skmol3d.encoders.potential import Potential, PotentialConfig
from skmol3d.trainer.data.batches import Mixture, bucketed
from skmol3d.trainer.data.energies import element_energies, relative_energies
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.data.shelves import shelve
from skmol3d.trainer.data.sources import read_set
from skmol3d.trainer.kinds.base import LoopRecipe, Place, write_metrics
from skmol3d.trainer.kinds.potential_errors import errors, errors_by_kind
from skmol3d.trainer.loop import main_process, train
from skmol3d.trainer.objectives import registry
from skmol3d.trainer.objectives.forces import LABELLED
from skmol3d.trainer.objectives.potential import PotentialObjectives
from skmol3d.trainer.recorded import train_recorded, training_device

ABOUT = """`{backbone}` with an energy head whose gradient is the force. {trained}{started}

**Limits.** It knows the level of theory, the elements and the kinds of molecules and geometries of the data
below, and no others.

Metrics below: mean absolute errors of force components (`force_mae`, eV/Å, beside `zero_force_mae`, that of
predicting no force), energy per molecule and per atom (eV), atomic charges (e), frontier orbitals (eV) and
dipole vectors (length of the difference, e·Å); other columns are training losses.
"""
ENERGIES = "Trained on energies (eV) of conformers at positions in Å."
FORCES = """Trained on forces (eV/Å) but not on energies: its energy (eV) compares conformers of one molecule,
not different molecules."""
NEITHER = """Trained on neither energies nor forces: its energy is no physical one, and it is a starting point
for fine-tuning."""


@dataclass(frozen=True, kw_only=True)
class PotentialRecipe(LoopRecipe):
    """A potential.

    Attributes
    ----------
    initial : str or None
        A potential whose weights to start from.
    test : tuple of str
        Further data to report the errors on.
    model : PotentialConfig
    """

    kind: str = "potential"
    initial: str | None = None
    test: tuple[str, ...] = ()
    model: PotentialConfig

    def check(self, place: Place) -> None:
        """Raise ValueError if steps are to be recorded that depend on what is in a batch, or on devices."""
        if not place.recorded:
            return
        kind, others = self.model.backbone.kind, sorted(set(self.weights) - set(LABELLED))
        if kind != "equivariant-convolution":
            raise ValueError(f"--recorded: potentials of kind equivariant-convolution alone, not {kind}")
        if others:
            raise ValueError(f"--recorded: not with {', '.join(others)} in recipe.weights")
        if max(self.views) > 1:
            raise ValueError("--recorded: conformers are drawn one by one, without views")
        if place.devices * place.nodes > 1 or place.precision != "32-true":
            raise ValueError("--recorded: on one device, and in precision 32-true")
        training_device(place.device)

    def run(self, place: Place) -> Potential:
        """Train the potential; errors are of the held-out molecules (or frames) and of the files in ``test``.

        The evaluation curve is measured on some of the first entry's.
        """
        torch.manual_seed(self.seed)
        sets = self.read(place)
        tests = {name: read_set(place.data / name) for name in self.test}
        for name, data in [*sets.items(), *tests.items()]:
            check_elements(name, data, self.model.backbone.elements)
        for name, data in sets.items():
            check_labels(name, data, self.weights)
        splits = self.split(sets)
        rows = self.train_rows(sets, splits)

        initial = self.initial
        potential = Potential(self.model) if initial is None else start_from(self.model, initial)
        references = np.zeros(len(potential.element_energy))
        if "energy" in self.weights:
            references = reference_energies([(s, splits[path][0]) for path, s in sets.items()], potential)
            # Losses and errors are measured without the references: a molecule's total energy in single
            # precision is rounded to some meV.
            sets = {name: relative_energies(s, references) for name, s in sets.items()}
            tests = {name: relative_energies(s, references) for name, s in tests.items()}
        first = self.paths[0]
        shown = np.random.default_rng(0).permutation(splits[first][1])[:300]
        objective = PotentialObjectives(potential, list(self.weights))
        drawn = [sets[s.path] for s in self.data], self.shares, rows

        def evaluate(network: nn.Module) -> dict[str, float]:
            return errors(network, sets[first], shown)

        if place.recorded:
            best = train_recorded(
                objective,
                lambda device: shelve(*drawn, list(self.weights), device),
                self.atoms,
                self.weights,
                self.schedule,
                place.logs,
                evaluate=evaluate,
                resume=place.resume,
                device=place.device,
                seed=self.seed,
            )
        else:
            mixture = Mixture(*drawn, self.atoms, self.seed, views=self.views)
            best = train(objective, mixture, evaluate=evaluate, **self.settings(place))
        if main_process():
            write_metrics(place, _metrics(best, sets, splits, tests))
        assert isinstance(best.potential, Potential)
        best.potential.element_energy.copy_(torch.from_numpy(references))
        return best.potential.eval()

    def about(self) -> str:
        """What was trained on what."""
        weighted = {name for name, weight in self.weights.items() if weight}
        trained = ENERGIES if "energy" in weighted else NEITHER
        if "energy" not in weighted and not {"forces", "force_centric"}.isdisjoint(weighted):
            trained = FORCES
        return ABOUT.format(
            backbone=BACKBONES[self.model.backbone.kind].__name__,
            trained=trained,
            started="" if self.initial is None else f" It started from `{self.initial}`.",
        )


def _metrics(
    objective: nn.Module,
    sets: dict[str, PackedSet],
    splits: dict[str, tuple[np.ndarray, np.ndarray]],
    tests: dict[str, PackedSet],
) -> dict[str, dict[str, float]]:
    """Errors of each set, and of each kind of conformers in it."""
    found = {}
    for name, data in sets.items():
        held = splits[name][1]
        found[name] = errors(objective, data, held)
        found |= {f"{name}, {kind}": row for kind, row in errors_by_kind(objective, data, held).items()}
    return found | {f"test {name}": errors(objective, s, np.arange(len(s))) for name, s in tests.items()}


def check_elements(name: str, data: PackedSet, elements: Collection[int]) -> None:
    """Raise ValueError if the set has atoms that the model's config does not list."""
    missing = sorted(set(np.unique(data.numbers).tolist()) - set(elements))
    if missing:
        raise ValueError(f"{name}: has atomic numbers {missing}, which recipe.model.backbone.elements lacks")


def check_labels(name: str, data: PackedSet, weights: Collection[str]) -> None:
    """Raise ValueError if a loss needs labels that the set does not have."""
    labels = data.atom_targets.keys() | data.molecule_targets.keys()
    needed = {loss: registry.losses("potential")[loss].label for loss in weights}
    missing = [loss for loss, label in needed.items() if label is not None and label not in labels]
    if missing:
        found = ", ".join(sorted(labels)) or "none"
        raise ValueError(f"{name}: no labels for {', '.join(missing)} of recipe.weights; it has {found}")


def start_from(config: PotentialConfig, checkpoint: str) -> Potential:
    """The potential of a checkpoint, its reference energies set to zero.

    Raises
    ------
    ValueError
        The checkpoint is no potential, or not that of ``config``.
    """
    potential = hub.from_pretrained(checkpoint)
    if not isinstance(potential, Potential):
        raise ValueError(f"recipe.initial: {checkpoint} is a {type(potential).__name__}, not a potential")
    if potential.config != config:
        own, found = (config_to_dict(c.backbone) for c in (config, potential.config))
        differing = ", ".join(
            f"{k} ({found.get(k)} there, {own.get(k)} here)"
            for k in found | own
            if found.get(k) != own.get(k)
        )
        raise ValueError(f"recipe.initial: {checkpoint} differs from recipe.model.backbone in {differing}")
    potential.element_energy.zero_()
    return potential


def reference_energies(
    parts: list[tuple[PackedSet, np.ndarray]], potential: Potential, sample: int = 2000
) -> np.ndarray:
    """Reference energies [119] of the first set, completed by those of the others for elements it lacks.

    They fit what ``potential``, whose own are zero, leaves of the energies of at most ``sample`` conformers
    of each set, so that training starts with energies that are right on average. Elements that these lack
    are fitted to all of the set's energies as they are.
    """
    energies = np.zeros(119)
    for data, index in reversed(parts):
        left = data.molecule_targets["energy"].astype(np.float64)
        chosen = np.random.default_rng(0).permutation(index)[:sample]
        for part in bucketed(data.sizes, chosen, 4096, np.random.default_rng(0)):
            with torch.no_grad():
                left[part] -= potential.energy(data.batch(part)[0]).numpy()
        rest = dataclasses.replace(data, molecule_targets={"energy": left})
        # One fit of the difference: the errors of two on different conformers would not cancel.
        for fit in (element_energies([(data, index)]), element_energies([(rest, chosen)])):
            energies = np.where(fit != 0, fit, energies)
    return energies
