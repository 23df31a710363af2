"""A REM3DI that its authors publish (github.com/molsuit/Rem3Di), as a `PublishedREM3DI`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skmol3d.encoders.backbones.mace import MACEConfig
from skmol3d.encoders.potential import Potential
from skmol3d.encoders.published_rem3di import PublishedREM3DI, PublishedREM3DIConfig
from skmol3d.hub.allowance import building
from skmol3d.hub.conversion.source import load_tensors, reading
from skmol3d.hub.folder import CheckpointError
from skmol3d.hub.names import from_pretrained

ENCODER, ATOMIC, GEOMETRIC = "encoder.pth", "atomic_preprocessor.pth", "geometric_preprocessor.pth"
SETTINGS = ("post_training_architecture_config.yaml", "architecture_config.yaml")
POOLINGS = {
    "mean": "mean",
    "attention": "attention",
    "pma_attention": "pma",
    "pma_attention_legacy": "pma-mean",
}
EPSILON = 1e-6  # of their standardisation

# Their names of weights and ours, as beginnings of names.
BLOCK = {
    "ln_s1": "norm",
    "ln_s2": "feed_norm",
    "attn.ln_pair": "pair_norm",
    "attn.pair2bias": "bias",
    "attn.W_q": "query",
    "attn.W_k": "key",
    "attn.W_v": "value",
    "attn.W_o": "merge",
    "ffn_s.proj_in": "expand",
    "ffn_s.proj_out": "shrink",
    "pair_up.W_L": "left",
    "pair_up.W_R": "right",
    "pair_up.p_geo_filter.mlp": "filter",
    "pair_ffn.lin": "pair_feed",
    "pair_ffn.gate": "pair_gate",
}
POOL = {
    "out_proj": "out",
    "key_proj": "key",
    "query": "query",
    "seeds": "seeds",
    "ln_seeds": "seed_norm",
    "ln_q": "seed_norm",
    "ln_kv": "norm",
    "W_Q": "query",
    "W_K": "key",
    "W_V": "value",
    "W_O": "merge",
    "ln_ff": "feed_norm",
    "out_ln": "feed_norm",
    "ff.0": "feed.0",
    "ff.3": "feed.2",
    "mlp.0": "feed.0",
    "mlp.3": "feed.2",
}
UNUSED = re.compile(r"layers\.\d+\.pair_up\.layer_norm\.")  # made, but never called


def read_rem3di(folder: Path, backbone: str | Path) -> PublishedREM3DI:
    """The encoder of a model directory, over the converted checkpoint ``backbone`` of its MACE.

    Raises
    ------
    CheckpointError
        A file is missing or holds more than tensors, the settings are not understood, or the backbone has
        other features than the encoder was trained on.
    ImportError
        Without pyyaml.
    """
    import yaml

    potential = from_pretrained(backbone)
    if not isinstance(potential, Potential) or not isinstance(potential.config.backbone, MACEConfig):
        raise CheckpointError(f"{backbone}: a REM3DI of its authors needs a MACE that was converted before")
    file = next((folder / name for name in SETTINGS if (folder / name).is_file()), None)
    if file is None:
        raise CheckpointError(f"{folder}: none of {', '.join(SETTINGS)}")
    encoder, atomic, geometric = (_state(folder / name) for name in (ENCODER, ATOMIC, GEOMETRIC))
    try:
        settings = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read as YAML: {error}") from error
    with reading(file, "not understood"):
        config, weights = translate(settings, encoder, atomic, geometric, potential.config.backbone)
        weights |= {f"backbone.{name}": value for name, value in potential.backbone.state_dict().items()}
        with building(weights):
            made = PublishedREM3DI(config)
    wanted = irreps(settings["embedding_preprocess_config"])
    if made.backbone.sizes != (wanted["0e"], max(1, wanted["1o"])):
        raise CheckpointError(
            f"{backbone}: gives {made.backbone.sizes[0]} invariants and {made.backbone.sizes[1]} vectors, but"
            f" the encoder of {folder} was trained on {wanted['0e']} and {wanted['1o']}"
        )
    with reading(folder, "weights that do not fit their settings"):
        made.load_state_dict(weights)
    return made.eval()


def _state(path: Path) -> Mapping[str, Tensor]:
    state = load_tensors(path)
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"{path}: holds more than tensors, and is not unpickled")
    return state


def irreps(settings: Mapping[str, Any]) -> dict[str, int]:
    """Numbers of invariants ("0e") and vectors ("1o") of the selected layers of a MACE, or of all."""
    layers = settings.get("mace_per_layer_irreps") or [settings["input_irreps"]]
    chosen = settings.get("mace_layer_indices")
    counts = {"0e": 0, "1o": 0}
    for k in range(len(layers)) if chosen is None else chosen:
        for count, kind in re.findall(r"(\d+)x(\d+[eo])", str(layers[k])):
            if kind not in counts:
                raise ValueError(f"features {count}x{kind}: only 0e and 1o are known")
            counts[kind] += int(count)
    return counts


def translate(
    settings: Mapping[str, Any],
    encoder: Mapping[str, Tensor],
    atomic: Mapping[str, Tensor],
    geometric: Mapping[str, Tensor],
    backbone: MACEConfig,
) -> tuple[PublishedREM3DIConfig, dict[str, Tensor]]:
    """Config, and weights but for the backbone's, in our names.

    Parameters
    ----------
    settings : mapping
        Of the architecture, as YAML has them.
    encoder, atomic, geometric : mapping of str to Tensor
        Of the three files.
    backbone : MACEConfig
        Of the potential; its `layers` become those that are selected.

    Raises
    ------
    KeyError, ValueError
        A setting is missing, or has a value that is not known.
    """
    embedding, place = settings["embedding_preprocess_config"], settings["positional_encoding_config"]
    attention = settings["encoder_config"]["attention_layer_config"]
    pooling = settings["global_aggregator_config"]
    kind = pooling["aggregator_type_config"]
    if embedding.get("mace_layer_indices") is not None:
        backbone = replace(backbone, layers=tuple(embedding["mace_layer_indices"]))
    projection = embedding.get("invariant_projection_config") or {"kind": "identity"}
    if projection["kind"] not in ("identity", "linear"):
        raise ValueError(f"invariant_projection_config: {projection['kind']!r} is not known")
    linear = projection["kind"] == "linear"
    chiral = bool(embedding.get("pseudoscalars", True))
    scalars = irreps(embedding)["0e"]
    width = (projection["output_dim"] if linear else scalars) + chiral * embedding[
        "chiral_embedding_dimension"
    ]
    name, seeded = POOLINGS[kind["aggregator_type"]], "pma" in kind["aggregator_type"]
    heads = kind.get("num_heads", 4 if seeded else 1)
    keys = kind.get("head_dim") or width
    config = PublishedREM3DIConfig(
        backbone=backbone,
        projection=projection["output_dim"] if linear else 0,
        projection_bias=linear and projection.get("bias", True),
        chiral=embedding["chiral_embedding_dimension"] if chiral else 0,
        pseudoscalars=embedding["pseudoscalar_dimension"] if chiral else 0,
        conditioned=not any(key.startswith("chiral_embedding_model.tp_cross") for key in atomic),
        gated=embedding.get("gated", True),
        layers=settings["encoder_config"]["N_layers"],
        heads=attention["num_heads"],
        feed=attention["dim_feedforward"],
        pair_width=place["d_projection"],
        radial=place["N_radial_basis_functions"],
        radial_length=float(place["distance_cutoff"]),
        basis=(place.get("basis_function_config") or {"kind": "gaussian"})["kind"],
        pooling=name,
        output=pooling.get("output_dim") or width,
        pool_heads=heads,
        pool_width=keys * heads if name == "pma" else keys,
        seeds=kind.get("num_seeds", 16) if seeded else 1,
        pool_feed=kind.get("use_mlp", False),
    )
    weights = {"pairs.weight": geometric["proj.weight"]}
    for key, value in encoder.items():
        if not UNUSED.match(key):
            weights[_renamed(key)] = value
    weights |= _standardisation(atomic)
    if linear:
        start = "invariant_projection."
        weights |= {
            f"project.{name.removeprefix(start)}": value
            for name, value in atomic.items()
            if name.startswith(start)
        }
    if chiral:
        weights |= _chirality(atomic, config)
    return config, {name: value.float() for name, value in weights.items()}


def _renamed(key: str) -> str:
    block = re.fullmatch(r"layers\.(\d+)\.(.+)", key)
    names, start = (BLOCK, f"blocks.{block[1]}.") if block else (POOL, "pool.")
    rest = block[2] if block else key.removeprefix("aggregator.")
    theirs = next((t for t in names if rest == t or rest.startswith(t + ".")), None)
    if theirs is None or not (block or key.startswith("aggregator.")):
        raise ValueError(f"weights {key} are not known")
    return start + names[theirs] + rest[len(theirs) :]


def _standardisation(atomic: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = "invariant_normalization."
    if f"{start}running_mean" in atomic:
        variance = atomic[f"{start}running_var"].double().clamp(min=EPSILON)
        return {"mean": atomic[f"{start}running_mean"], "scale": variance.sqrt()}
    mean, deviation = (atomic[start + name].double().flatten() for name in ("mean", "std"))
    return {"mean": mean, "scale": deviation + EPSILON}


def _chirality(atomic: Mapping[str, Tensor], config: PublishedREM3DIConfig) -> dict[str, Tensor]:
    """Weights of the triple products, with the constants that e3nn multiplies them by."""
    count, start = config.pseudoscalars, "chiral_embedding_model."
    inner = f"{start}pseudoscalar_tp." if config.conditioned else start
    mixing = ("lin_a", "lin_b", "lin_c") if config.conditioned else ("lin0", "lin1", "lin2")
    strength = atomic["equivariant_rms_norm.gamma"].flatten()
    weights = {"strength": strength}
    for ours, theirs in zip(("first", "second", "third"), mixing, strict=True):
        weights[f"{ours}.weight"] = _linear(atomic[f"{inner}{theirs}.weight"], count)
    # Path weights times Wigner's 3j: √(3/K)/√6 of a cross product, and 1/√K/√3 of a dot product.
    factors = {"cross": (2 * count) ** -0.5, "dot": (3 * count) ** -0.5}
    for k, (name, factor) in enumerate(factors.items(), 1):
        if config.conditioned:
            for layer, place in ((0, 0), (1, 2)):
                value = atomic[f"{inner}weight_mlp{k}.layer{layer}.weight"]
                scale = len(value) ** -0.5 * (factor if layer else 1.0)
                weights[f"{name}.{place}.weight"] = (value * scale).T
        else:
            weights[name] = atomic[f"{start}tp_{name}.weight"] * factor
    if config.conditioned:
        weights["middle.weight"] = _linear(atomic[f"{inner}lin_mid.weight"], count)
    weights["norm.weight"] = atomic[f"{start}ln.weight"]
    if config.gated:
        weights |= {f"gate.{k}.weight": atomic[f"{start}chi_gate.net.{k}.weight"] for k in (0, 2)}
    weights["mix.weight"] = atomic[f"{start}linear_out.weight"]
    return {f"chiral.{name}": torch.as_tensor(value).contiguous() for name, value in weights.items()}


def _linear(flat: Tensor, count: int) -> Tensor:
    """Weights of an e3nn linear layer as those of torch's."""
    weight = flat.reshape(-1, count)
    return (weight / len(weight) ** 0.5).T
