"""The documentation site: `make docs` builds it into docs/_build/html."""

import re
from pathlib import Path

import pandas as pd

import skmol3d
from skmol3d.benchmark import best_head, plot_win_rates, score_table
from skmol3d.benchmark.experiments.panel import METHODS

project = "skmol3d"
author = "the skmol3d developers"
version = release = skmol3d.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["_build", "**.ipynb_checkpoints", "notebooks/work"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are committed with their outputs: notebooks/execute.py

# Single backticks in docstrings are names: those of ours become links, others stay code.
default_role = "py:obj"
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections say the types, with shapes
numpydoc_show_class_members = False  # the template of a class lists them

templates_path = ["_templates"]
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"skmol3d {release}"
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 2,  # more push the search into a line of its own
    "secondary_sidebar_items": {"[!n]*": ["page-toc"]},  # notebooks need the room
}
html_sidebars = {"*": []}  # only pages in folders have a section to navigate


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("builder-inited", draw_win_rates)


def draw_win_rates(app):
    """Draw the chart of the benchmark's page from the results that lie beside it."""
    results = pd.read_csv(Path(app.srcdir) / "results" / "panel.csv")
    results = results[results["method"].isin(METHODS)]
    plot_win_rates(score_table(best_head(results)), Path(app.srcdir) / "_static" / "win_rates.png")


def skip_foreign(app, what, name, obj, skip, options):
    """Leave out what scikit-learn adds, whose docstrings refer to its own user guide."""
    return True if re.fullmatch(r"set_\w+_request|get_metadata_routing|set_output", name) else None
