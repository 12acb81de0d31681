"""Imports go one way, and what needs no torch imports none."""

import ast
import subprocess
import sys
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pipeline_utils"

# A room may import rooms of rows below its own; inside a room and a row no circle may come of it.
ROWS = (
    ("bench",),
    ("page", "__main__"),
    ("api",),
    ("proof", "studio"),
    ("engine", "shelf"),
    ("models", "picture"),
    ("recipe",),
    ("errors", "files", "program", "settings"),
)
FLOOR = {room: number for number, row in enumerate(ROWS) for room in row}
LIGHT = ("errors", "recipe.recipe", "recipe.rounds", "models.catalog", "models.sources", "settings")


def name(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


FILES = {name(file): file for file in PACKAGE.rglob("*.py") if "training" not in file.parts}
FILES = {module: file for module, file in FILES.items() if not module.endswith("__init__")}


def imports(module: str) -> set[str]:
    """Modules of the package that `module` imports anywhere in its file."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{module} imports relatively"
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pipeline_utils":
            room = node.module.partition(".")[2]
            names = {".".join(filter(None, (room, alias.name))) for alias in node.names}
            found |= {known if known in FILES else room for known in names}
    return found - {""}


@pytest.mark.parametrize("module", sorted(FILES))
def test_a_module_imports_only_rooms_that_lie_below_its_own(module):
    room = module.split(".")[0]
    others = {other for other in imports(module) if other.split(".")[0] != room}
    above = {other for other in others if FLOOR.get(other.split(".")[0], -1) < FLOOR[room]}
    assert not above, f"{module} imports {above}, which lies above it"


def test_no_module_imports_itself_by_a_detour():
    TopologicalSorter({module: imports(module) for module in FILES}).prepare()  # raises CycleError


@pytest.mark.parametrize("module", sorted(FILES.keys() - {"__main__"}))
def test_no_module_imports_the_app(module):
    tree = ast.parse(FILES[module].read_text())
    assert not any(isinstance(node, ast.ImportFrom) and node.module == "app" for node in ast.walk(tree))


def test_only_runtime_loads_a_pipeline():
    loaders = {module for module, file in FILES.items() if "DiffusionPipeline.from_pretrained(" in file.read_text()}
    assert "models.runtime" in loaders
    # The script is a text with such a line, for people to run; the measurements hold the app against a plain pipeline.
    assert loaders <= {"models.runtime", "engine.script", "bench.plain"}


def brought_in(modules: Iterable[str]) -> set[str]:
    """Names of all modules that importing these of the package brings in."""
    code = f"import sys, {', '.join(f'pipeline_utils.{module}' for module in modules)}; print(*sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(process.stdout.split())


def test_recipes_rounds_catalog_and_settings_need_neither_torch_nor_gradio():
    loaded = brought_in(LIGHT)
    assert "pipeline_utils.recipe.recipe" in loaded
    assert not loaded & {"torch", "gradio", "diffusers", "transformers", "numpy", "PIL"}


def test_all_that_the_page_is_built_of_leaves_torch_for_later():
    rooms = ("api", "models", "page", "proof", "recipe", "shelf", "studio")
    loaded = brought_in(["engine.pool", *(module for module in FILES if module.split(".")[0] in rooms)])
    assert {"gradio", "pipeline_utils.page.page", "pipeline_utils.models.runtime"} <= loaded
    assert not loaded & {"torch", "diffusers", "transformers", "accelerate"}
