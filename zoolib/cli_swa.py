"""`zoolib swa average CHECKPOINT…`: average what was saved, refresh batch norm, evaluate."""

from __future__ import annotations

import argparse
import json
from typing import Any

from zoolib.cli_options import Parser
from zoolib.runtime.quiet import import_tensorflow


def add_swa(add: Any) -> None:
    """Add the command to the program's others.

    Args:
        add: ``add_parser`` of the program's subparsers.
    """
    swa = add("swa", help="average saved checkpoints: swa average CHECKPOINT …")
    commands = swa.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    average = commands.add_parser(
        "average", help="average weights, refresh batch norm, evaluate; makes a run folder"
    )
    average.add_argument(
        "checkpoints", nargs="+", metavar="CHECKPOINT", help="a step-… folder, or a run's: all"
    )
    average.add_argument("--out", default="runs", help="where the new run folder is made")
    average.add_argument("--device", default="auto")
    average.add_argument("--json", action="store_true")
    average.set_defaults(command=_average)


def _average(arguments: argparse.Namespace) -> None:
    import_tensorflow()
    from zoolib.core.checkpoint_average import average_checkpoints

    result, rows = average_checkpoints(arguments.checkpoints, arguments.out, arguments.device)
    if arguments.json:
        document = {
            "model": result.config.model,
            "folder": str(result.folder),
            "metrics": result.metrics,
            "checkpoints": rows,
        }
        print(json.dumps(document, allow_nan=False))
        return
    for name, value in result.metrics.items():
        own = [row[name] for row in rows]
        print(f"{name:40} {value:.6g}  (the {len(own)} alone: {min(own):.6g} to {max(own):.6g})")
    print(f"{'folder':40} {result.folder}")
