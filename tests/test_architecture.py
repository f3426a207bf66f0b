"""The house's rules, held by reading the source: arrows, sizes, docstrings, thin notebooks."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zoolib

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "zoolib"
SOURCES = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in PACKAGE.rglob("*.py")}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# Room -> rooms it may import, itself always; "" is the package's own surface.
ALLOWED = {
    "errors": set(),
    "runtime": {"errors"},
    "nn": {"errors", "runtime"},
    "optim": {"errors", "runtime"},
    "data": {"errors", "runtime"},
    "core": {"errors", "runtime", "data", "nn", "optim"},
    "models": {"errors", "runtime", "data", "nn", "optim", "core"},
    "ui": {"errors", "runtime", "data", "nn", "optim", "core", "models", ""},
    "cli": {
        "errors",
        "runtime",
        "core",
        "cli_options",
        "cli_npu",
        "cli_launch",
        "cli_data",
        "cli_predict",
        "cli_swa",
        "",
    },
    "cli_data": {"errors", "data", "cli_options", "cli_data_fewshot", "cli_data_semisup"},
    "cli_data_fewshot": {"errors", "data"},
    "cli_data_semisup": {"data"},
    "cli_launch": {"errors", "cli_options", "launch"},
    "launch": {"errors", "core", "runtime"},
    "cli_npu": {"errors", "runtime", "core", "cli_options", ""},
    "cli_predict": {"errors", "runtime", "core", "cli_options", ""},
    "cli_swa": {"errors", "runtime", "core", "cli_options"},
    "cli_options": {"errors", "core"},
    "__main__": {"cli"},
    "": {"errors", "core", "runtime", "models"},
}
# core discovers models by listing their folder, and describes the package in files it writes.
PACKAGE_ITSELF = {"core": {"", "models"}}


def imports(tree: ast.AST) -> set[str]:
    """Every module a source names in an import, wherever in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def modules(names: set[str]) -> set[str]:
    """The names that are modules of zoolib, or the package itself."""
    return {n for n in names if n == "zoolib" or n in SOURCES or f"{n}.__init__" in SOURCES}


@pytest.mark.parametrize("name", SOURCES)
def test_arrows(name):
    here = room(name.replace(".__init__", ""))
    for imported in modules(imports(TREES[name])):
        there = room(imported)
        if there == here or imported in ("zoolib.models",) and here == "core":
            continue
        allowed = ALLOWED[here] | PACKAGE_ITSELF.get(here, set())
        assert there in allowed, f"{name} imports {imported}"
        if here == "core":
            assert not imported.startswith("zoolib.models."), f"{name} imports a model"


@pytest.mark.parametrize("name", [n for n in SOURCES if n.startswith("zoolib.models.")])
def test_a_model_never_imports_another(name):
    own = name.split(".")[2]
    for imported in imports(TREES[name]):
        if imported.startswith("zoolib.models."):
            assert imported.split(".")[2] == own, f"{name} imports {imported}"


def test_nobody_imports_the_user_interface():
    for name, tree in TREES.items():
        if room(name) not in ("ui",):
            assert not any(i.startswith("zoolib.ui") for i in imports(tree)), name


def test_widgets_and_figures_live_in_the_user_interface_only():
    for name, tree in TREES.items():
        if room(name) != "ui":
            found = {i.split(".")[0] for i in imports(tree)} & {
                "ipywidgets",
                "matplotlib",
                "IPython",
            }
            assert not found, f"{name} imports {found}"


def test_only_the_runtime_knows_which_tensorflow_and_which_device():
    private = re.compile(r"^tensorflow\.python|^tensorflow\.compiler|^tensorflow\.core|^npu_device")
    for name, tree in TREES.items():
        if room(name) == "runtime":
            continue
        assert not [i for i in imports(tree) if private.match(i)], name
        text = SOURCES[name].read_text(encoding="utf-8")
        for word in ("npu_device", "tf.version", "tf.__version__", "tensorflow.python"):
            assert word not in text, f"{name} mentions {word}"


def test_keras_is_not_used_below_the_user_interface():
    exempt = {"zoolib.core.keras", "zoolib.models.swa.callback"}  # the two places about Keras
    for name, tree in TREES.items():
        if room(name) == "ui" or name in exempt:
            continue
        found = {i.split(".")[0] for i in imports(tree)} | {
            f"{n.value.id}.{n.attr}"
            for n in ast.walk(tree)
            if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
        }
        assert not found & {"keras", "tf.keras", "tf.nn.moments"}, name
        assert "tf.nn.moments" not in {
            f"tf.nn.{n.attr}"
            for n in ast.walk(tree)
            if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "tf.nn"
        }, f"{name}: tf.nn.moments has a wrong second derivative"


def test_importing_and_listing_is_fast_and_imports_no_tensorflow(environment):
    program = (
        "import sys, time; t = time.process_time(); import zoolib; zoolib.list_models(); "
        "t = time.process_time() - t; "
        "[zoolib.get_model(n).preset('smoke') for n in zoolib.list_models()]; "
        "import zoolib.cli; print(t, 'tensorflow' in sys.modules, 'numpy' in sys.modules)"
    )
    seconds = []
    for _ in range(8):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
        spent, tensorflow, _numpy = done.stdout.split()
        assert tensorflow == "False"
        seconds.append(float(spent))
    assert min(seconds) < 0.3, seconds


def test_the_public_names_are_there():
    for name in "list_models get_model run train load devices export".split():
        assert name in zoolib.__all__ and callable(getattr(zoolib, name))
    assert set(zoolib.__all__) <= set(dir(zoolib))
    with pytest.raises(AttributeError, match="has no attribute 'fit'; it offers"):
        zoolib.fit  # noqa: B018


# ---- sizes and words


def functions(tree: ast.AST):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


@pytest.mark.parametrize("name", SOURCES)
def test_modules_and_functions_are_short(name):
    lines = SOURCES[name].read_text(encoding="utf-8").count("\n")
    assert lines <= 350, f"{name} has {lines} lines"
    for function in functions(TREES[name]):
        length = function.end_lineno - function.lineno + 1
        assert length <= 60, f"{name}.{function.name} has {length} lines"


def undocumented(node: ast.AST, prefix: str) -> list[str]:
    missing = []
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for child in getattr(node, "body", []):
        if isinstance(child, kinds) and not child.name.startswith("_"):
            setter = any(ast.unparse(d).endswith(".setter") for d in child.decorator_list)
            if not ast.get_docstring(child) and not setter:
                missing.append(f"{prefix}.{child.name}")
            if isinstance(child, ast.ClassDef):
                missing += undocumented(child, f"{prefix}.{child.name}")
    return missing


@pytest.mark.parametrize("name", SOURCES)
def test_everything_public_is_documented_and_typed(name):
    tree = TREES[name]
    if tree.body:
        assert ast.get_docstring(tree), f"{name} has no docstring"
    assert undocumented(tree, name) == []
    for function in functions(tree):
        if not function.name.startswith("_"):
            arguments = function.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            bare = [a.arg for a in every if a.annotation is None and a.arg not in ("self", "cls")]
            assert not bare and function.returns, f"{name}.{function.name}: no types for {bare}"


@pytest.mark.parametrize("name", SOURCES)
def test_the_library_prints_nothing_and_hides_no_place(name):
    if not name.startswith("zoolib.cli"):
        for node in ast.walk(TREES[name]):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                assert "file=stream" in ast.unparse(node), f"{name}:{node.lineno} prints"
    text = SOURCES[name].read_text(encoding="utf-8")
    assert not re.search(r"/(work|tmp|root|home)/", text), f"{name} names a place on some machine"
    assert not re.search(r"\bNotImplemented\b|\bTODO\b|\bFIXME\b", text), name


def test_no_work_at_import():
    """At the top of a module stand imports, definitions and assignments, nothing that runs."""
    assignments = (ast.Assign, ast.AnnAssign, ast.AugAssign)
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, *assignments)
    for name, tree in TREES.items():
        for node in tree.body:
            text = ast.unparse(node)
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            guarded = text.startswith(("if TYPE_CHECKING", "if __name__"))
            assert isinstance(node, kinds) or docstring or guarded, f"{name}: {text[:60]}"


# ---- notebooks


def notebook(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(path: Path) -> list[tuple[str, dict]]:
    cells = [c for c in notebook(path)["cells"] if c["cell_type"] == "code"]
    return [("".join(c["source"]), c) for c in cells]


def plain(source: str) -> ast.AST:
    """A cell's syntax tree, line and cell magics taken out."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    return ast.parse("\n".join(lines))


every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@every_notebook
def test_cells_are_thin(path):
    for source, _ in code_cells(path):
        assert len(source.splitlines()) <= 15, source
        for node in ast.walk(plain(source)):
            assert not isinstance(node, (ast.ClassDef, ast.While)), source
            if isinstance(node, ast.For):  # no loop over steps but the one loop there is
                over = ast.unparse(node.iter)
                assert "zoolib.run(" in over or "range(" not in over, source
        assert "GradientTape" not in source


@every_notebook
def test_outputs_are_stored_and_checked(path):
    counts = [cell["execution_count"] for source, cell in code_cells(path) if source.strip()]
    assert counts == list(range(1, len(counts) + 1)), "not run top to bottom"
    checked = [
        cell
        for _, cell in code_cells(path)
        if "nbval-check-output" in cell["metadata"].get("tags", [])
    ]
    assert len(checked) >= 5
    assert all(cell["outputs"] for cell in checked)


@every_notebook
def test_nothing_of_the_machine_is_stored(path):
    text, document = path.read_text(encoding="utf-8"), notebook(path)
    assert document["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in document["metadata"]
    assert path.stat().st_size <= 250 * 1024
    outputs = [output for _, cell in code_cells(path) for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error"]
    place = re.search(r"[\"' (]/(work|tmp|root|home|usr|opt|Users|var)/[\w.-]+", text)
    assert not place, place
