"""Model cards, written from what a run recorded and what its recipe says of its data; nothing else.

``python -m skmol3d.trainer.card CHECKPOINT TABLES.md`` puts the tables of `skmol3d benchmark` into a card.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase.data import chemical_symbols

from skmol3d.encoders.config import config_to_dict

if TYPE_CHECKING:
    from skmol3d.trainer.kinds.base import Recipe

HEAD = """---
library_name: skmol3d
{licence}pipeline_tag: feature-extraction
tags: [chemistry, molecules, 3d, {kind}]
---

# {name}

"""
UNKNOWN = "Where they come from the recipe does not say."
OTHERS = "They are not the data that the recipe describes, so where they come from is unknown."
BENCHMARK = "## Benchmark"


def write_card(
    recipe: Recipe, logs: Path, encoder: Any, hardware: str, shipped: bool, flags: str = ""
) -> str:
    """Markdown with the Hub's YAML head: what it is, data, training, held-out metrics, limits.

    ``shipped`` says whether the package has this very recipe, so that its name trains the same; ``flags`` are
    those of the command.
    """
    import yaml

    facts = json.loads((logs / "data.json").read_text(encoding="utf-8"))
    metrics = json.loads((logs / "metrics.json").read_text(encoding="utf-8"))
    licence = None if any(entry["others"] for entry in facts) else recipe.licence
    history = [*recipe.history(logs), hardware]
    elements = getattr(encoder, "elements", ())
    if elements:
        history.append(f"Elements: {', '.join(chemical_symbols[z] for z in elements)}")
    command = f"`skmol3d pretrain {recipe.name} --data DATA{flags}`"
    if not shipped:
        command = f"`skmol3d pretrain FILE.yaml --data DATA{flags}`, where the file has the recipe below"
    as_it_ran = yaml.safe_dump(_settings(recipe), sort_keys=False, default_flow_style=None, width=100)
    lines = [
        HEAD.format(
            licence="" if licence is None else f"license: {licence}\n", kind=recipe.kind, name=recipe.name
        )
        + recipe.about(),
        "## Data\n",
        *[_entry(entry) for entry in facts],
        "\n## Training\n",
        f"- Command: {command}",
        *[f"- {item}" for item in history],
        f"- Parameters: {sum(p.numel() for p in encoder.parameters()):,}",
        "- The recipe as it ran:\n",
        f"```yaml\n{as_it_ran}```\n",
        "## Held-out metrics\n",
        f"From `metrics.json` of the run ({recipe.held_out:.0%} of the molecules held out).\n",
        _table(metrics if isinstance(next(iter(metrics.values())), dict) else {"held out": metrics}),
    ]
    return "\n".join(lines) + "\n"


def _settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe, without what it says of data that may be others."""
    plain = config_to_dict(recipe)
    del plain["licence"]
    kept = ("path", "share", "kinds", "targets", "views")
    plain["data"] = [{key: entry[key] for key in kept if entry[key]} for entry in plain["data"]]
    return plain


def _entry(facts: dict[str, Any]) -> str:
    """An item of the list of data."""
    few, many = facts["heavy_atoms"]
    text = f"- `{facts['path']}` (share {facts['share']:g}): {facts['count']:,} {facts['what']} of "
    text += f"{facts['molecules']:,} molecules with {few if few == many else f'{few} to {many}'} heavy atoms"
    kinds = facts.get("kinds", {})
    if kinds:
        text += "; " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    if facts.get("selected"):
        text += f", of which {', '.join(facts['selected'])} train"
    said = UNKNOWN if facts["provenance"] is None else facts["provenance"].strip()
    text += f". {OTHERS if facts['others'] else said}"
    return text if facts["licence"] is None else f"{text} Licence: {facts['licence']}."


def _table(metrics: dict[str, dict[str, float]]) -> str:
    columns = list(dict.fromkeys(name for values in metrics.values() for name in values))
    rows = ["| set | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, values in metrics.items():
        cells = [f"{values[c]:.4g}" if c in values else "" for c in columns]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def add_tables(card: str, tables: str) -> str:
    """The card with the benchmark's tables as its last section, in place of older ones."""
    kept = card.split(BENCHMARK)[0].rstrip()
    return f"{kept}\n\n{BENCHMARK}\n\n{tables.strip()}\n"


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Put benchmark tables into a model card.")
    parser.add_argument("checkpoint", type=Path, help="checkpoint folder")
    parser.add_argument("tables", type=Path, help="tables.md of `skmol3d benchmark --out`")
    args = parser.parse_args()
    card = args.checkpoint / "README.md"
    tables = args.tables.read_text(encoding="utf-8")
    card.write_text(add_tables(card.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main()
