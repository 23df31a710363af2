"""Elements that a checkpoint does not know."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def unknown_elements(numbers: NDArray[np.uint8], elements: tuple[int, ...]) -> str | None:
    """Name the elements among atomic numbers [N] that are not among `elements`, if any."""
    from rdkit import Chem

    unknown = sorted(set(numbers.tolist()) - set(elements))
    if not unknown:
        return None
    symbol = Chem.GetPeriodicTable().GetElementSymbol
    return (
        f"{', '.join(map(symbol, unknown))}: not among the elements the model knows "
        f"({', '.join(symbol(z) for z in sorted(elements))})"
    )
