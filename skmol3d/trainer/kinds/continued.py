"""Continued pretraining: what of a checkpoint is kept."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from skmol3d import hub
from skmol3d.encoders.rem3di import REM3DI
from skmol3d.trainer.data.batches import bucketed
from skmol3d.trainer.data.corpus import classified
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.loop import main_process

RIGHT = 0.5  # share of the environments that words of the same vocabulary name rightly, at least
SAMPLE = 300  # molecules on which it is measured

E = TypeVar("E", bound=nn.Module)


def vocabularies_of(checkpoint: str | None) -> list[np.ndarray] | None:
    """The vocabularies of a checkpoint to start from; None if it has or knows none."""
    encoder = None if checkpoint is None else hub.from_pretrained(checkpoint)
    return encoder.words.vocabularies if isinstance(encoder, REM3DI) else None


def start_from(encoder: REM3DI, checkpoint: str, data: PackedSet, index: np.ndarray) -> None:
    """Load the weights of another REM3DI of the same sizes into ``encoder``.

    Its words are kept if both name the same environments. A checkpoint that does not say which it names is
    asked to name those of some of the molecules ``index`` of ``data``. If the vocabularies differ the words
    start afresh; in either case a line is printed. The compression, which is measured at the end, is not
    loaded, nor the charges of the surface if one of the two has none.

    Raises
    ------
    ValueError
        The checkpoint is no REM3DI, or its sizes differ.
    """
    other = read_initial(checkpoint, REM3DI)
    apart: tuple[str, ...] = ("words.", "compress.", "properties.", "strain.")
    if encoder.surface is None or other.surface is None:
        apart = (*apart, "surface.")
    found = same_sized(encoder, other, checkpoint, apart)
    fresh = why_afresh(encoder, other, data, index)
    if fresh is None:
        ours = encoder.words.state_dict()
        for name, value in other.words.state_dict().items():
            # Which columns there are the recipe says; version 1 did not say what the classes name.
            if name in ours and ours[name].shape == value.shape and not name.startswith("vocabulary"):
                found[f"words.{name}"] = value
    if main_process() and encoder.words.heads:
        print(f"{checkpoint}: its words {'are kept' if fresh is None else f'start afresh: {fresh}'}")
    encoder.load_state_dict(encoder.state_dict() | found)


def read_initial(checkpoint: str, kind: type[E]) -> E:
    """The encoder of a checkpoint to start from; ValueError if it is not of the class ``kind``."""
    encoder = hub.from_pretrained(checkpoint)
    if not isinstance(encoder, kind):
        raise ValueError(f"recipe.initial: {checkpoint} is a {type(encoder).__name__}, not a {kind.__name__}")
    return encoder


def same_sized(
    encoder: nn.Module, other: nn.Module, checkpoint: str, apart: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """Weights of ``other``, read from ``checkpoint``, but those whose names start with one of ``apart``.

    Raises
    ------
    ValueError
        Their names or sizes are not those of ``encoder``'s; all that differ are named.
    """
    own, found = (
        {k: v for k, v in e.state_dict().items() if not k.startswith(apart)} for e in (encoder, other)
    )
    wrong = [k for k in own | found if k not in own or k not in found or own[k].shape != found[k].shape]
    if wrong:
        names = ", ".join(sorted(wrong))
        raise ValueError(f"recipe.initial: {checkpoint} differs from the recipe's model in {names}")
    return found


def why_afresh(encoder: REM3DI, other: REM3DI, data: PackedSet, index: np.ndarray) -> str | None:
    """Why the words of ``other`` do not suit ``encoder``; None if they do."""
    ours, theirs = encoder.words, other.words
    if not theirs.heads:
        return "it has none"
    if ours.config.classes != theirs.config.classes:
        return f"it has {theirs.config.classes} classes, this corpus {ours.config.classes}"
    assert ours.vocabularies is not None
    if theirs.vocabularies is not None:
        same = all(map(np.array_equal, ours.vocabularies, theirs.vocabularies))
        return None if same else "they name other environments"
    share = named_rightly(other, ours.vocabularies, data, index)
    if share.min() < RIGHT:
        return f"they name other environments (right for {share.min():.0%} of this corpus's atoms)"
    return None


def named_rightly(
    encoder: REM3DI, vocabularies: list[np.ndarray], data: PackedSet, index: np.ndarray
) -> np.ndarray:
    """Share of the atoms with a class that the words of each vocabulary name rightly."""
    right, known = np.zeros(len(vocabularies)), np.zeros(len(vocabularies))
    sample = np.random.default_rng(0).permutation(index)[:SAMPLE]
    encoder.eval()
    with torch.no_grad():
        for part in bucketed(data.sizes, sample, 2048, np.random.default_rng(0)):
            batch, targets = data.batch(part)
            tokens = encoder.tokens(batch)
            labels = classified(targets["environments"][tokens.index], vocabularies)
            for k, head in enumerate(encoder.words.heads):
                named = head(tokens.encoded[tokens.real]).argmax(1)
                right[k] += int((named == labels[:, k]).sum())
                known[k] += int((labels[:, k] >= 0).sum())
    return right / np.maximum(known, 1)
