"""How Sphinx builds these pages: `sphinx-build -W -b html docs docs/_build/html`."""

import re

import backprop

project = "backprop"
author = "The backprop developers"
copyright = "2026, The backprop developers"
version = release = backprop.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
]
exclude_patterns = ["_build", "examples"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = "backprop"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# single backquotes in a docstring mark code, in RST as in Markdown
default_role = "code"

autosummary_generate = True
autosummary_ignore_module_all = False  # names are shown where users import them from
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # only what is a class' own; the contract is Layer's
autodoc_typehints = "none"  # numpydoc's tables tell the types, with shapes
numpydoc_show_class_members = False  # autodoc lists them
suppress_warnings = ["ref.footnote"]  # a source in References need not be cited in the text

SECTION = re.compile(r"^\s*-{3,}\s*$")
ROUTING = re.compile(r"set_\w+_request|get_metadata_routing")
CODE_OR_BAR = re.compile(r"(`[^`]*`)|\|(?=\S)")


def keep_formulas(app, what, name, obj, options, lines):
    """Show the formulas of a docstring as they are written.

    RST would run the lines of an indented formula together, and take the |x| in a sentence for a
    substitution. So what is indented above the first section becomes a literal block, and the bars
    in sentences are escaped.
    """
    sections = (i - 1 for i, line in enumerate(lines) if SECTION.match(line))
    end = next(sections, len(lines))
    shown, literal = [], False
    for i, line in enumerate(lines[:end]):
        indented = line.startswith("    ")
        if not indented and line.strip():
            literal = False
        elif indented and not literal and i and not lines[i - 1].strip():
            before = next((above for above in reversed(shown) if above.strip()), "")
            literal = True
            if not before.rstrip().endswith("::") and not before.startswith(".. "):
                shown += ["::", ""]
        shown.append(line if literal else escape_bars(line))
    examples = lines.index("Examples") if "Examples" in lines else len(lines)
    lines[:examples] = shown + [escape_bars(line) for line in lines[end:examples]]


def escape_bars(line):
    """`|x|` as text, not inside code."""
    return CODE_OR_BAR.sub(lambda match: match[1] or r"\|", line)


def leave_out_routing(app, what, name, obj, skip, options):
    """Estimators have methods that scikit-learn writes, with links into its own pages."""
    return True if ROUTING.fullmatch(name) else None


def setup(app):
    app.connect("autodoc-skip-member", leave_out_routing)
    app.connect("autodoc-process-docstring", keep_formulas, priority=400)  # numpydoc's is 500
