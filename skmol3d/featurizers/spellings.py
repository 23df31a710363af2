"""Texts that were parsed before: a row that is looked up must not cost the parsing of its molecule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skmol3d.structures import Molecule, StructureError, read_molecule
from skmol3d.structures.reading import is_file_name
from skmol3d.structures.storage import Memory, content_key

MEMORY = Memory(32 * 2**20)
"""Keys of molecules by the text that stands for each: some 100,000."""


def read_named(
    inputs: Sequence[object], standardise: str | None
) -> Iterator[tuple[str, Molecule | None] | StructureError]:
    """The key of each input's molecule, with the molecule itself if it had to be read for that.

    Parameters
    ----------
    inputs : sequence
        Of what `read_molecule` takes.
    standardise : str or None
        As in `read_molecule`.

    Yields
    ------
    (str, Molecule or None), or StructureError
        None for a text that was read before; failures are values.
    """
    texts = {
        i: content_key(value, standardise)
        for i, value in enumerate(inputs)
        if isinstance(value, str) and not is_file_name(value)  # files may change
    }
    known = MEMORY.get(texts.values())
    fresh: dict[bytes, bytes] = {}
    for i, value in enumerate(inputs):
        if i in texts and texts[i] in known:
            yield known[texts[i]].decode(), None
            continue
        try:
            molecule = read_molecule(value, standardise)
        except StructureError as error:
            yield error
            continue
        if i in texts:
            fresh[texts[i]] = molecule.key.encode()
        yield molecule.key, molecule
    MEMORY.put(fresh)
