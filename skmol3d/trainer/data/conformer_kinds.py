"""What kinds of conformers there are; apart from the sets that hold them, since labelling needs no torch."""

from enum import IntEnum


class ConformerKind(IntEnum):
    """How a conformer was made: the array ``kind`` of labelled sets."""

    MMFF = 0
    """ETKDG, relaxed with MMFF94."""
    NOISY = 1
    """Any other with Gaussian noise on its coordinates."""
    RELAXED = 2
    """Relaxed with GFN2-xTB, the method of the labels: a minimum, whose forces are nearly zero."""
    QM9 = 3
    """A geometry of QM9 as published (B3LYP)."""
    BROUGHT = 4
    """Brought by the input of ``skmol3d label``."""
    ETKDG = 5
    """ETKDG, not relaxed."""
