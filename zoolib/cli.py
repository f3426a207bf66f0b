"""The command line: list, doctor, runs, train, eval, compare, export.

Options of `train` are read off the model's config, seed-document names included.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
from pathlib import Path
from typing import Any, Sequence

import zoolib
from zoolib.core.config import Setting
from zoolib.errors import ConfigError, DataError, DeviceError, StoreError

BAD_INPUT = (ConfigError, DataError, DeviceError, StoreError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done, 2 bad input (one line on standard error), 130 interrupted (state saved), 1 else.
    """
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        arguments = _parser().parse_args(argv)
        return arguments.command(arguments) or 0
    except BAD_INPUT as error:
        print(f"zoolib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("zoolib: interrupted; the state is saved, go on with --resume", file=sys.stderr)
        return 130
    except zoolib.ZoolibError as error:
        print(f"zoolib: {error}", file=sys.stderr)
        return 1


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line."""

    def error(self, message: str) -> None:
        raise ConfigError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="zoolib", description=zoolib.__doc__)
    parser.add_argument("--version", action="version", version=f"zoolib {zoolib.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = commands.add_parser

    add("list", help="the methods and their presets").set_defaults(command=_list)
    add("doctor", help="what this machine has").set_defaults(command=_doctor)
    runs = add("runs", help="the runs in a folder")
    runs.add_argument("--out", default="runs")
    runs.set_defaults(command=_runs)

    train = add("train", help="train a method", add_help=False, allow_abbrev=False)
    train.add_argument("rest", nargs=argparse.REMAINDER)
    train.set_defaults(command=lambda arguments: _train(arguments.rest))

    evaluate = add("eval", help="evaluate a run's newest checkpoint")
    evaluate.add_argument("folder")
    evaluate.add_argument("--device", default="auto")
    evaluate.add_argument("--json", action="store_true")
    evaluate.set_defaults(command=_eval)

    compare = add("compare", help="settings and final metrics of runs side by side")
    compare.add_argument("folders", nargs="+", metavar="FOLDER")
    compare.set_defaults(command=_compare)

    export = add("export", help="write a trained model for other programs")
    export.add_argument("folder")
    export.add_argument("--format", required=True, help="savedmodel, frozen, onnx or tflite")
    export.add_argument("--to", required=True, help="folder or file to make")
    export.set_defaults(command=_export)
    return parser


def _list(_: argparse.Namespace) -> None:
    for name in zoolib.list_models():
        spec = zoolib.get_model(name)
        print(f"{name:14} {spec.title}\n{'':14} {spec.paper}")
        for preset, make in spec.presets.items():
            print(f"{'':14} {preset:9} {' '.join((make.__doc__ or '').split())}")


def _doctor(_: argparse.Namespace) -> int:
    from zoolib.core.doctor import report

    lines, healthy = report()
    print("\n".join(lines))
    return 0 if healthy else 1


def _runs(arguments: argparse.Namespace) -> None:
    from zoolib.core.store import RunFolder

    for path in sorted(Path(arguments.out).glob("*/config.json")):
        folder = RunFolder.open(path.parent)
        summary = folder.summary()
        state = "finished" if summary else "unfinished"
        shown = _short((summary or {}).get("metrics", {}))
        print(f"{path.parent}  {folder.config.model} {folder.config.preset}  {state}  {shown}")


def _short(metrics: dict[str, float], most: int = 3) -> str:
    return "  ".join(f"{k} {v:.4g}" for k, v in list(metrics.items())[:most])


def _train(rest: list[str]) -> None:
    from zoolib.core.run import run
    from zoolib.core.train import shown

    if not rest or rest[0].startswith("-"):
        if rest and rest[0] in ("-h", "--help"):
            print(f"usage: zoolib train MODEL [options]; MODEL is one of {zoolib.list_models()}")
            return
        raise ConfigError(f"train: expected a model, one of {', '.join(zoolib.list_models())}")
    spec = zoolib.get_model(rest[0])
    options = _train_parser(spec).parse_args(rest[1:])
    resume, config = _resume(options), None
    changes = {k[3:]: v for k, v in vars(options).items() if k.startswith("c__") and v is not None}
    if resume is None or changes:
        config = spec.preset(options.preset, **changes)
        if resume is not None:  # changes are taken as relative to the run, which then must agree
            config = zoolib.load(resume).config.replace(**changes)
        _announce(config, options)
    summary: dict[str, Any] = {}
    events = run(config, options.device, options.precision, options.out, resume)
    for event in shown(events):
        if hasattr(event, "metrics") and hasattr(event, "seconds"):
            summary = {"folder": str(event.folder), **zoolib.load(event.folder).summary}
    _tell(summary, options.json)


def _resume(options: argparse.Namespace) -> str | None:
    """`--resume FOLDER`, or the seed's `--resume True`: the newest run of the same model."""
    text = options.resume
    if text is None or text.lower() in ("false", "0"):
        return None
    if text.lower() not in ("true", "1"):
        return text
    unfinished = [
        p.parent
        for p in Path(options.out).glob(f"{options.model}-*/config.json")
        if not (p.parent / "summary.json").exists()
    ]
    return str(max(unfinished, key=lambda p: p.stat().st_mtime)) if unfinished else None


def _announce(config: Any, options: argparse.Namespace) -> None:
    print(f"{config.model}: effective settings", file=sys.stderr)
    for name, value in config.to_dict().items():
        print(f"  {name:20} {value}", file=sys.stderr)
    for name in config.meaningless:
        if getattr(options, f"seed__{name}") is not None:
            print(f"  --{name} has no meaning here and is ignored", file=sys.stderr)


def _tell(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(_finite(summary), allow_nan=False))
        return
    for name, value in summary["metrics"].items():
        print(f"{name:40} {value:.6g}")
    print(f"{'folder':40} {summary['folder']}")


def _finite(value: Any) -> Any:
    """JSON knows no infinity: null stands for a number that is not finite."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _train_parser(spec: Any) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"zoolib train {spec.name}", description=spec.title, allow_abbrev=False
    )
    parser.set_defaults(model=spec.name)
    parser.add_argument("--preset", default="tutorial", help=", ".join(spec.presets))
    parser.add_argument("--device", "--chip", default="auto", help="auto, cpu, gpu:0, npu:0, …")
    parser.add_argument("--precision", help="float32 unless told")
    parser.add_argument("--out", "--logdir", default="runs", help="folder of the runs")
    parser.add_argument("--resume", help="a run folder to go on with")
    parser.add_argument("--json", action="store_true", help="end with one JSON line")
    for item in spec.Config.settings():
        if not item.internal:
            parser.add_argument(*_spellings(item), dest=f"c__{item.name}", **_option(item))
    for name in spec.Config.translated:
        parser.add_argument(
            f"--{name}", dest=f"c__{name}", nargs="?", const="true", help=argparse.SUPPRESS
        )
    for name in spec.Config.meaningless:
        parser.add_argument(f"--{name}", dest=f"seed__{name}", help=argparse.SUPPRESS)
    return parser


def _spellings(item: Setting) -> list[str]:
    names = {}
    for name in (item.name, *item.aliases):
        names.update({f"--{name}": 0, f"--{name.replace('_', '-')}": 0})
    return list(names)


def _option(item: Setting) -> dict[str, Any]:
    unit = f" [{item.unit}]" if item.unit else ""
    option: dict[str, Any] = {
        "help": f"{item.help}{unit} ({item.domain()})".replace("%", "%%"),
        "metavar": "VALUE",
    }
    if item.type is bool:
        option.update(nargs="?", const="true")
    return option
