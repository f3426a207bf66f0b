"""Run notebooks and store what a reader on the web should see; the only way outputs get into git.

    make notebooks                       # all
    make notebooks NOTEBOOKS=10_mtnet    # one

Kept: text, figures, execution counts. Dropped: stderr, widget state, everything of this machine.
Stops at the first cell that fails, and leaves that notebook as it was.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
LIMIT = 250_000
VIEW = "application/vnd.jupyter.widget-view+json"


def main(names: list[str]) -> None:
    paths = [FOLDER / f"{Path(name).stem}.ipynb" for name in names]
    for path in paths or sorted(FOLDER.glob("*.ipynb")):
        begin = time.time()
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(
            notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": FOLDER}}
        ).execute()
        normalise(notebook)
        text = nbformat.writes(notebook) + "\n"
        if len(text) > LIMIT:
            sys.exit(f"{path.name}: {len(text)} bytes, more than {LIMIT}; fewer or smaller figures")
        path.write_text(text, encoding="utf-8")
        print(f"{path.name}: {time.time() - begin:.0f} s, {len(text) // 1000} KB")


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Leave what does not depend on the machine or the moment."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k == "tags"})
        if cell.cell_type != "code":
            continue
        cell.outputs = joined([o for o in cell.outputs if o.get("name") != "stderr"])
        for output in cell.outputs:
            if "data" in output:
                for kind in (VIEW, "text/latex"):
                    output.data.pop(kind, None)
                output.metadata = nbformat.from_dict({})


def joined(outputs: list) -> list:
    """Neighbouring pieces of printed text as one: where a kernel flushes is a matter of chance."""
    merged: list = []
    for output in outputs:
        if output.output_type == "stream" and merged and merged[-1].output_type == "stream":
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


if __name__ == "__main__":
    main(sys.argv[1:])
