"""Plain statistics of a backbone's features."""

import numpy as np
import torch

from skmol3d.encoders import AtomBatch
from skmol3d.encoders.atoms import AtomFeatures
from skmol3d.encoders.pooled import PooledBackbone


class Numbers:
    """Scalars of an atom: its atomic number, and its x."""

    sizes = (2, 1)

    def __call__(self, batch):
        scalars = torch.stack([batch.numbers.to(batch.positions), batch.positions[:, 0]], 1)
        return AtomFeatures(scalars, batch.positions[:, :, None])


def test_statistics_are_numpys_over_all_atoms_of_each_molecule():
    rng = np.random.default_rng(0)
    molecules = [(np.array(z), rng.normal(size=(len(z), 3)), 0, None) for z in ([6, 1, 1, 8], [7], [1, 1])]
    pooled = PooledBackbone(Numbers(), (1, 6, 7, 8))
    batch = AtomBatch.from_arrays(molecules)
    rows = pooled(batch)
    places = batch.positions[:, 0].split(batch.counts.tolist())
    for row, (z, *_), x in zip(rows.numpy(), molecules, places, strict=True):
        scalars = np.stack([z, x.numpy()], 1)
        expected = [getattr(scalars, name)(0) for name in ("mean", "std", "max", "min", "sum")]
        np.testing.assert_allclose(row, np.concatenate(expected), rtol=1e-5, atol=1e-6)
    assert pooled.output_blocks() == {"mean": 2, "std": 2, "max": 2, "min": 2, "sum": 2}
    assert list(pooled.output_blocks()) == list(PooledBackbone.STATISTICS)  # the order of the columns
