"""Small model directories of the authors' REM3DI with random weights: settings, and names with shapes."""

from zlib import crc32

import numpy as np
import torch

LAYERS = ["4x0e+3x1o", "4x0e+2x1o"]
K, CHIRAL, RADIAL, PAIR, FEED, HIDDEN = 3, 4, 5, 6, 7, 16


def random_value(name, shape):
    """Numbers that every version of numpy draws alike, by the weight's name; some must be positive."""
    drawn = np.random.RandomState(crc32(name.encode())).standard_normal(shape)
    positive = name.endswith((".std", "running_var"))
    return torch.tensor(np.abs(drawn) + 0.5 if positive else 0.4 * drawn, dtype=torch.float32)


def settings(pooling, projection, selected=None, pseudoscalars=True, basis="bessel", output=6):
    """What the YAML file of an architecture says."""
    return {
        "kind": "encoder_decoder",
        "embedding_preprocess_config": {
            "chiral_embedding_dimension": CHIRAL if pseudoscalars else 0,
            "pseudoscalar_dimension": K if pseudoscalars else 0,
            "pseudoscalars": pseudoscalars,
            "gated": True,
            "input_irreps": "+".join(LAYERS),
            "mace_per_layer_irreps": LAYERS,
            "mace_layer_indices": selected,
            "invariant_projection_config": projection,
        },
        "encoder_config": {
            "N_layers": 2,
            "attention_layer_config": {"num_heads": 2, "dim_feedforward": FEED, "dropout": 0.3},
        },
        "global_aggregator_config": {"aggregator_type_config": pooling, "output_dim": output},
        "positional_encoding_config": {
            "N_radial_basis_functions": RADIAL,
            "basis_function_config": {"kind": basis},
            "d_projection": PAIR,
            "distance_cutoff": 12.0,
        },
    }


def blocks(width):
    """Names and shapes of the transformer's weights."""
    square, norm = (width, width), {"weight": (width,), "bias": (width,)}
    one = {f"attn.{w}.weight": square for w in ("W_q", "W_k", "W_v", "W_o")}
    one |= {f"{name}.{part}": shape for name in ("ln_s1", "ln_s2") for part, shape in norm.items()}
    one |= {"attn.ln_pair.weight": (PAIR,), "attn.ln_pair.bias": (PAIR,), "attn.pair2bias.weight": (2, PAIR)}
    one |= {"ffn_s.proj_in.weight": (2 * FEED, width), "ffn_s.proj_in.bias": (2 * FEED,)}
    one |= {"ffn_s.proj_out.weight": (width, FEED), "ffn_s.proj_out.bias": (width,)}
    one |= {"pair_up.W_L.weight": (PAIR, width), "pair_up.W_R.weight": (PAIR, width)}
    one |= {"pair_up.p_geo_filter.mlp.0.weight": (64, RADIAL), "pair_up.p_geo_filter.mlp.0.bias": (64,)}
    one |= {"pair_up.p_geo_filter.mlp.2.weight": (PAIR, 64), "pair_up.p_geo_filter.mlp.2.bias": (PAIR,)}
    one |= {"pair_up.layer_norm.weight": (PAIR,), "pair_up.layer_norm.bias": (PAIR,)}
    one |= {
        "pair_ffn.lin.weight": (PAIR, PAIR),
        "pair_ffn.lin.bias": (PAIR,),
        "pair_ffn.gate.weight": (PAIR, PAIR),
    }
    return {f"layers.{k}.{name}": shape for k in range(2) for name, shape in one.items()}


def chirality(scalars, vectors, conditioned):
    """Names and shapes of what makes pseudoscalars."""
    found = {"equivariant_rms_norm.gamma": (vectors, 1)}
    inner = {"ln.weight": (K,), "linear_out.weight": (CHIRAL, K)}
    inner |= {"chi_gate.net.0.weight": (2 * scalars, scalars), "chi_gate.net.2.weight": (K, 2 * scalars)}
    if conditioned:
        inner |= {f"pseudoscalar_tp.lin_{x}.weight": (vectors * K,) for x in "abc"}
        inner |= {"pseudoscalar_tp.lin_mid.weight": (K * K,)}
        inner |= {f"pseudoscalar_tp.weight_mlp{k}.layer0.weight": (scalars, HIDDEN) for k in (1, 2)}
        inner |= {f"pseudoscalar_tp.weight_mlp{k}.layer1.weight": (HIDDEN, K * K) for k in (1, 2)}
    else:
        inner |= {f"lin{k}.weight": (vectors * K,) for k in range(3)}
        inner |= {"tp_cross.weight": (K * K,), "tp_dot.weight": (K * K,)}
    return found | {f"chiral_embedding_model.{name}": shape for name, shape in inner.items()}


PRECOMPUTED = {"invariant_normalization.mean": (1, 1, 8), "invariant_normalization.std": (1, 1, 8)}
RUNNING = {"invariant_normalization.running_mean": (8,), "invariant_normalization.running_var": (8,)}
LINEAR = {"kind": "linear", "output_dim": 8, "bias": False}

CASES = {
    # As of 2026: weights of the triple products depend on the invariants.
    "attention": (
        settings({"aggregator_type": "attention", "num_heads": 2, "head_dim": 8}, LINEAR),
        blocks(12)
        | {
            "aggregator.key_proj.weight": (8, 12),
            "aggregator.query": (2, 4),
            "aggregator.out_proj.weight": (6, 12),
        },
        PRECOMPUTED | {"invariant_projection.weight": (8, 8)} | chirality(8, 5, True),
    ),
    # Before: constant weights, and pma whose seeds are averaged.
    "earlier": (
        settings(
            {
                "aggregator_type": "pma_attention_legacy",
                "num_heads": 2,
                "head_dim": 4,
                "num_seeds": 3,
                "use_mlp": True,
            },
            {"kind": "identity"},
            basis="gaussian",
        ),
        blocks(12)
        | {
            f"aggregator.{n}.{p}": (s,)
            for n, s in (("ln_q", 4), ("ln_kv", 12), ("out_ln", 6))
            for p in ("weight", "bias")
        }
        | {"aggregator.seeds": (1, 3, 4), "aggregator.W_Q.weight": (4, 4), "aggregator.W_K.weight": (4, 12)}
        | {
            "aggregator.W_V.weight": (6, 12),
            "aggregator.mlp.0.weight": (24, 6),
            "aggregator.mlp.0.bias": (24,),
        }
        | {"aggregator.mlp.3.weight": (6, 24), "aggregator.mlp.3.bias": (6,)},
        RUNNING | chirality(8, 5, False),
    ),
    "seeds, one layer of MACE": (
        settings(
            {
                "aggregator_type": "pma_attention",
                "num_heads": 2,
                "head_dim": 5,
                "num_seeds": 3,
                "use_mlp": True,
            },
            LINEAR | {"bias": True},
            selected=[1],
            pseudoscalars=False,
        ),
        blocks(8)
        | {
            f"aggregator.{n}.{p}": (s,)
            for n, s in (("ln_seeds", 6), ("ln_kv", 8), ("ln_ff", 6))
            for p in ("weight", "bias")
        }
        | {"aggregator.seeds": (1, 3, 6), "aggregator.W_Q.weight": (10, 6), "aggregator.W_K.weight": (10, 8)}
        | {"aggregator.W_V.weight": (6, 8), "aggregator.W_O.weight": (6, 6)}
        | {"aggregator.ff.0.weight": (24, 6), "aggregator.ff.0.bias": (24,)}
        | {"aggregator.ff.3.weight": (6, 24), "aggregator.ff.3.bias": (6,)},
        dict.fromkeys(PRECOMPUTED, (1, 1, 4))
        | {"invariant_projection.weight": (8, 4), "invariant_projection.bias": (8,)}
        | {"equivariant_rms_norm.gamma": (2, 1)},
    ),
    "mean": (
        settings({"aggregator_type": "mean"}, LINEAR, pseudoscalars=False),
        blocks(8) | {"aggregator.out_proj.weight": (6, 8)},
        PRECOMPUTED | {"invariant_projection.weight": (8, 8), "equivariant_rms_norm.gamma": (5, 1)},
    ),
}


def states(case):
    """Contents of the three files of weights."""
    _, encoder, atomic = CASES[case]
    geometric = {"proj.weight": (PAIR, RADIAL)}
    return [{n: random_value(n, s) for n, s in shapes.items()} for shapes in (encoder, atomic, geometric)]


def molecules():
    """Positions (Å) and MACE's features of two molecules, of five and three atoms."""
    positions = 2.0 * random_value("positions", (8, 3))
    return positions.split([5, 3]), (3.0 * random_value("features", (8, 8 + 3 * 5))).split([5, 3])
