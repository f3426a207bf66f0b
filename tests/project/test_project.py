"""The project's own files: one list of dependencies, pins that fit it, no trace of a machine."""

import ast
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.9 and 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PINS = ("constraints.txt", "constraints-ascend.txt")
MODERN = ("3.10", "3.11", "3.12", "3.13")
UNPINNED_EXTRAS = {"gpu"}  # the driver libraries depend on the machine
PAPERS = {"1801.05558", "1803.05407", "1807.11164", "1912.08766", "1902.07104"}

# Spelt in two halves, so that this file does not name what it forbids.
HOSTS = ("py" + "pi.org", "python" + "hosted.org", "anaconda" + ".org", "registry." + "npmjs")
HOSTS += ("index" + "-url", "find" + "-links")
HOST_RULE = re.compile("|".join(re.escape(host) for host in HOSTS), re.IGNORECASE)
PATH_RULE = re.compile(r"(?<![\w.\-*}>])/(?:work|tmp|root|home|Users)/")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(*extras: str) -> list:
    """The base requirements and those of the named extras."""
    table = project()
    lines = list(table["dependencies"])
    for extra in extras:
        lines += table["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def holds(requirement: Requirement, python: str) -> bool:
    """Whether the requirement applies to Linux on x86_64 with this Python."""
    where = {"python_version": python, "sys_platform": "linux", "platform_machine": "x86_64"}
    return requirement.marker is None or requirement.marker.evaluate(where)


def pins(name: str) -> list:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def pinned_versions(name: str, python: str) -> dict:
    """Package name -> the version pinned for this Python."""
    found = defaultdict(list)
    for pin in pins(name):
        if holds(pin, python):
            (specifier,) = pin.specifier
            found[canonicalize_name(pin.name)].append(specifier.version)
    twice = {package: versions for package, versions in found.items() if len(versions) > 1}
    assert not twice, f"{name}: expected one pin for each package on Python {python}, got {twice}"
    return {package: versions[0] for package, versions in found.items()}


def text_files() -> dict:
    """Path -> text of every tracked or new file of the project that is text."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    found = {}
    for name in filter(None, listing.decode().split("\0")):
        try:
            found[name] = (ROOT / name).read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            continue  # deleted but still tracked, or not text
    assert "pyproject.toml" in found
    return found


def python_sources() -> list:
    rooms = ("zoolib", "tests", "scripts", "benchmarks", "notebooks")
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def test_environment_repeats_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == "zoolib"
    assert environment["channels"] == ["conda-forge"]
    conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    (python,) = (line.split("=")[1] for line in conda if line.startswith("python="))
    assert python in MODERN, "the minor version of Python must be stated, and be a supported one"
    (pip,) = (line["pip"] for line in environment["dependencies"] if isinstance(line, dict))

    assert pip.count("-e .") == 1
    listed = [Requirement(line) for line in pip if line != "-e ."]
    expected = [r for r in requirements("lab", "test") if holds(r, python)]
    assert sorted((canonicalize_name(r.name), str(r.specifier)) for r in listed) == sorted(
        (canonicalize_name(r.name), str(r.specifier)) for r in expected
    )
    named = {canonicalize_name(r.name) for r in listed}
    assert {"tensorflow", "jupyterlab", "matplotlib", "ipywidgets", "nbval"} <= named


@pytest.mark.parametrize("name", PINS)
def test_pins_are_names_and_versions_only(name):
    for pin in pins(name):
        assert pin.url is None and not pin.extras, f"{name}: {pin}"
        assert [specifier.operator for specifier in pin.specifier] == ["=="], f"{name}: {pin}"
        assert "*" not in str(pin.specifier), f"{name}: {pin}"


@pytest.mark.parametrize("python", MODERN)
def test_pins_satisfy_pyproject(python):
    versions = pinned_versions("constraints.txt", python)
    extras = set(project()["optional-dependencies"]) - UNPINNED_EXTRAS
    wanted = [r for r in requirements(*sorted(extras)) if holds(r, python)]
    assert any(r.name == "tensorflow" for r in wanted)
    for requirement in wanted:
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} has no pin for Python {python}; run make pins"
        assert version in requirement.specifier, f"{requirement} is pinned to {version}"


def test_ascend_pins_satisfy_pyproject_and_tensorflow():
    versions = pinned_versions("constraints-ascend.txt", "3.9")
    # ruff is a tool of the developer's Python; code is linted once.
    wanted = [r for r in requirements("lab", "test") if holds(r, "3.9") and r.name != "ruff"]
    assert not any(r.name == "tensorflow" for r in wanted), "the Ascend stack brings its own"
    for requirement in wanted:
        version = versions.get(canonicalize_name(requirement.name))
        assert version in requirement.specifier, f"{requirement} is pinned to {version}"
    assert versions["tensorflow-cpu"] == "2.6.5"
    assert versions["keras"] == "2.6.0"
    assert Requirement("protobuf<3.20").specifier.contains(versions["protobuf"])
    assert Requirement("numpy<1.24").specifier.contains(versions["numpy"])


def test_citation_credits_the_five_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == project()["license"] == "Apache-2.0"
    cited = set()
    for paper in citation["references"]:
        assert paper["title"] and paper["year"] in (2018, 2019)
        assert all(author["family-names"] and author["given-names"] for author in paper["authors"])
        (identifier,) = paper["identifiers"]
        cited.add(identifier["value"].replace("arXiv:", ""))
    assert cited == PAPERS
    assert len(citation["references"]) == len(PAPERS)


def test_no_registry_host_and_no_machine_path():
    found = []
    for name, text in text_files().items():
        for number, line in enumerate(text.splitlines(), 1):
            for hit in (HOST_RULE.search(line), PATH_RULE.search(line)):
                if hit:
                    found.append(f"{name}:{number}: {hit.group()}")
    assert not found, "registry hosts or paths of one machine: " + "; ".join(found)


def test_the_rules_above_find_what_they_forbid():
    for host in HOSTS:
        assert HOST_RULE.search(f"somewhere = https://{host}/simple")
    for place in ("work", "tmp", "root", "home", "Users"):
        assert PATH_RULE.search(f"open('/{place}/me/file')")
    assert not PATH_RULE.search("https://example.com/home/page")


def test_sources_parse_as_python_3_9():
    sources = python_sources()
    assert len(sources) > 10
    for path in sources:
        ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 9))


def test_python_3_9_check_refuses_newer_syntax():
    with pytest.raises(SyntaxError):
        ast.parse("match x:\n    case 1:\n        pass\n", feature_version=(3, 9))
