"""Recipe kind ``crystal_energy``: a perceptron on rows of `CrystalFeaturizer`, for synthesised crystals."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from skmol3d.trainer.data.sources import Source, quoted
from skmol3d.trainer.kinds.base import Place, Recipe, record, write_metrics

if TYPE_CHECKING:
    from skmol3d.encoders.crystal_energy import CrystalEnergy
    from skmol3d.trainer.data.crystal_columns import SyntheticCrystals

CLIP = 0.005  # energies are clipped at this quantile of the training crystals, and at one minus it

ABOUT = """Lattice energies of molecular crystals with one independent molecule: Buckingham (`buckingham`, in
well depths, cutoff 10 Å) and that of a potential (`mlip`, eV), both per molecule. A multilayer perceptron, as
in arXiv:2405.13791, section 4.4, on the rows of
`CrystalFeaturizer(Mo3ENetFeaturizer("{embedding}", output="{output}"))`, which it makes itself:

```python
model = CrystalEnergyRegressor.from_pretrained("{name}")
model.predict(model.featurizer().fit_transform(["urea.cif"]))  # a column for each energy
```

**Limits.** Synthesised crystals in P1, P-1, P2_1, P2_1/c, C2/c and P2_12_12_1, of molecules like those of the
data below, one in the asymmetric unit: other groups, several molecules and larger ones are extrapolations. It
emulates these two energies and is no better than they are; its potential learned single molecules.

**Not for ranking** different compounds before a test: `python -m skmol3d.benchmark.experiments.x23
x23.extxyz.gz --energies FOLDER` compares the order of its energies with the published one.

Metrics below: Pearson's R and mean absolute error of each energy, beside that of predicting the median of the
training crystals (`median_mae`); energies are clipped at the 0.5 and 99.5 % quantiles of these.
"""


@dataclass(frozen=True, kw_only=True)
class CrystalEnergyRecipe(Recipe):
    """A regressor of crystal energies.

    Attributes
    ----------
    embedding : str
        Checkpoint of Mo3ENet that describes the molecule.
    output : {"scalar", "vector"}
        Of `Mo3ENetFeaturizer`: which of its rows.
    validation : float
        Share of the molecules that settings were chosen on; they are not trained on either.
    noisy : bool
        Whether to train, and to choose, on the noisy copies, too. Nothing in a row tells them from crystals
        at rest, so that these are then expected to lie higher.
    epochs, batch_size, width, layers, dropout, weight_decay, learning_rate
        As in `skmol3d.estimators.CrystalEnergyRegressor`.
    """

    kind: str = "crystal_energy"
    embedding: str
    output: str
    validation: float
    noisy: bool
    epochs: int
    batch_size: int
    width: int
    layers: int
    dropout: float
    weight_decay: float
    learning_rate: float

    half: ClassVar[bool] = False

    def run(self, place: Place) -> CrystalEnergy:
        """Fit the network; metrics are of the molecules to choose on and of those held out."""
        from skmol3d import CrystalEnergyRegressor, CrystalFeaturizer, Mo3ENetFeaturizer
        from skmol3d.trainer.data.crystal_columns import SyntheticCrystals, embedded
        from skmol3d.trainer.data.synthetic_crystals import TARGETS

        if len(self.data) > 1:
            raise ValueError("recipe.data: crystals come from one folder")
        (source,) = self.data
        crystals = SyntheticCrystals.read(place.data / source.path, place.n_jobs)
        energies, molecules = crystals.energies, crystals.parts["molecule"]
        checkpoint = place.checkpoint(self.embedding)
        molecule = Mo3ENetFeaturizer(checkpoint, output=self.output, device=place.device)
        featurizer = CrystalFeaturizer(molecule).fit([])
        rows, whole = embedded(crystals, featurizer)
        parts = [part[whole[part]] for part in split(molecules, self.validation, self.held_out)]
        used = crystals.parts["optimised"] | self.noisy
        train, inner, test = (part[used[part]] for part in parts)
        model = CrystalEnergyRegressor(
            **{name: getattr(self, name) for name in ("width", "layers", "dropout", "epochs", "batch_size")},
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            clip=CLIP,
            device=place.device,
            random_state=self.seed,
        ).fit(rows[train], energies[train], targets=TARGETS, embedding=self.embedding, output=self.output)
        clipped = clip(energies, energies[train])
        centre = np.median(clipped[train], axis=0)
        record(place, [describe_parts(source, crystals, whole)])
        scored = {"validation": inner, "held out": test, "held out, with noisy copies": parts[2]}
        write_metrics(
            place,
            {
                name: scores(model.predict(rows[part]), clipped[part], centre, TARGETS)
                for name, part in scored.items()
            },
        )
        trained = {"crystals": len(train), "molecules": len(np.unique(molecules[train]))}
        (place.logs / "trained.json").write_text(json.dumps(trained), encoding="utf-8")
        return model.network_

    def about(self) -> str:
        """What it predicts, and its limits."""
        return ABOUT.format(embedding=self.embedding, output=self.output, name=self.name)

    def history(self, logs: Path) -> list[str]:
        """Crystals, molecules and passes."""
        trained = json.loads((logs / "trained.json").read_text(encoding="utf-8"))
        return [
            f"{trained['crystals']:,} crystals of {trained['molecules']:,} molecules"
            f"{'' if self.noisy else ' (no noisy copies)'}, {self.epochs} epochs "
            f"of AdamW on a smooth L1 loss; dropout {self.dropout:g}, weight decay {self.weight_decay:g}"
        ]


def describe_parts(source: Source, crystals: SyntheticCrystals, whole: NDArray[np.bool_]) -> dict[str, Any]:
    """What a run knows of its crystals, for the model card; `whole` ones have rows."""
    used = np.unique(crystals.parts["molecule"][whole])
    heavy = [int((crystals.molecules.numbers[i] > 1).sum()) for i in used.tolist()]
    return {
        "path": source.path,
        "share": source.share,
        "count": int(whole.sum()),
        "what": "crystals",
        "molecules": len(used),
        "heavy_atoms": [min(heavy), max(heavy)],
        **quoted(source, crystals.molecules.source),
    }


def split(
    molecules: NDArray[np.int64], validation: float = 0.1, held_out: float = 0.1
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Places of crystals to train on, to choose on and to test on, by molecule."""
    count = int(molecules.max()) + 1
    order = np.random.default_rng(0).permutation(count)
    edges = [int((1 - share) * count + 1e-9) for share in (validation + held_out, held_out)]
    a, b, c = (np.flatnonzero(np.isin(molecules, part)) for part in np.split(order, edges))
    return a, b, c


def clip(energies: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energies [K, T] clipped at quantiles of the ``reference``: overlapping molecules have any energy."""
    return np.clip(energies, *np.quantile(reference, [CLIP, 1 - CLIP], axis=0))


def correlations(found: NDArray, wanted: NDArray) -> NDArray[np.float64]:
    """Pearson's R of each column; NaN where all energies are the same."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(found.T, wanted.T, strict=True)])


def scores(found: NDArray, wanted: NDArray, centre: NDArray, targets: tuple[str, ...]) -> dict[str, Any]:
    """``<target>_R``, ``<target>_mae`` and ``<target>_median_mae``, that of predicting ``centre``."""
    columns = {
        "R": correlations(found, wanted),
        "mae": np.abs(found - wanted).mean(0),
        "median_mae": np.abs(wanted - centre).mean(0),
    }
    return {
        f"{target}_{name}": float(values[k])
        for k, target in enumerate(targets)
        for name, values in columns.items()
    }
