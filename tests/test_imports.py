"""Imports go one way, and what needs no torch imports none."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pipeline_utils"

# A module may import modules of rows below its own, and those of its own row where no circle comes of it.
ROWS = (
    ("__main__", "ui"),
    ("ui_tree", "ui_shelf"),
    ("wiring",),
    ("ui_share",),
    ("handlers", "handlers_share", "handlers_words", "handlers_tree", "handlers_shelf", "ui_verify", "ui_proof"),
    ("exploring", "ui_next"),
    ("playing", "visits"),
    ("panels", "view_preview", "toasts", "reopen", "again"),
    ("view_compare", "view_share", "view_words"),
    ("api", "view", "view_tree", "view_shelf", "visit", "theme", "guard", "uploads", "answers"),
    ("proof", "proof_process", "proof_reference", "lab"),
    ("studio", "replaying", "sweeping"),
    ("verify", "zero_gpu", "as_python"),
    ("models", "memory", "shelves"),
    ("album", "lineage", "cards", "card", "card_file", "stars", "trash", "thumbs", "downloads"),
    ("engine", "slots", "shelf", "contact_sheet", "grid_sheet", "claim", "compare", "verdict"),
    ("sharing", "clients"),
    ("picture", "png", "parameters", "rounds", "turns", "streams", "runtime", "words", "load_errors", "resemblance"),
    ("variation", "preview", "presets", "revisions", "calling", "places"),
    ("recipe", "catalog", "folders", "specs", "settings"),
    ("files", "program"),
    ("errors", "pace", "stops"),
)
LIGHT = ("errors", "recipe", "rounds", "specs", "folders", "catalog", "settings")


def imports(module: str) -> set[str]:
    """Modules of the package that `module` imports anywhere in its file."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "pipeline_utils":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline_utils."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("pipeline_utils.")}
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{module} imports relatively"
    return found


MODULES = sorted(file.stem for file in PACKAGE.glob("*.py") if file.stem != "__init__")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_lies_below_it(module):
    rows = {name: number for number, row in enumerate(ROWS) for name in row}
    above = {name for name in imports(module) if rows.get(name, len(ROWS)) < rows[module]}
    assert not above, f"{module} imports {above}, which lies above it"


def test_no_module_imports_itself_by_a_detour():
    TopologicalSorter({module: imports(module) for module in MODULES}).prepare()  # raises CycleError


@pytest.mark.parametrize("module", [module for module in MODULES if module != "__main__"])
def test_no_module_imports_the_app(module):
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    assert not any(isinstance(node, ast.ImportFrom) and node.module == "app" for node in ast.walk(tree))


def test_only_runtime_loads_a_pipeline():
    loaders = {m for m in MODULES if "DiffusionPipeline.from_pretrained(" in (PACKAGE / f"{m}.py").read_text()}
    assert "runtime" in loaders
    assert loaders <= {"runtime", "as_python"}  # as_python writes such a line, for people to run


def test_recipes_rounds_catalog_and_settings_need_neither_torch_nor_gradio():
    code = f"import sys; from pipeline_utils import {', '.join(LIGHT)}; print(*sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(process.stdout.split())
    assert "pipeline_utils.recipe" in loaded
    assert not loaded & {"torch", "gradio", "diffusers", "transformers", "numpy", "PIL"}
