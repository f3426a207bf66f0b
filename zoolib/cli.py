"""The command line: list, doctor, runs, train, launch, npu-check, eval, predict, compare, ….

Options of `train` are read off the model's config, seed-document names included.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import math
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zoolib
from zoolib.cli_data import run_data
from zoolib.cli_launch import run_launch
from zoolib.cli_npu import npu_check
from zoolib.cli_options import Parser, train_parser
from zoolib.cli_predict import add_predict
from zoolib.cli_swa import add_swa
from zoolib.core.npu_settings import npu_options
from zoolib.errors import ConfigError, DataError, DeviceError, StoreError
from zoolib.runtime.quiet import import_tensorflow

BAD_INPUT = (ConfigError, DataError, DeviceError, StoreError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done, 2 bad input (one line on standard error), 130 interrupted (state saved), 1 else.
    """
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        words = list(sys.argv[1:] if argv is None else argv)
        if words[:1] == ["train"]:  # its options depend on the model
            return _train(words[1:])
        if words[:1] == ["launch"]:
            return run_launch(words[1:], _checked)
        if words[:1] == ["npu-check"]:
            return npu_check(words[1:])
        if words[:1] == ["data"]:
            return run_data(words[1:])
        arguments = _parser().parse_args(words)
        return arguments.command(arguments) or 0
    except BAD_INPUT as error:
        print(f"zoolib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("zoolib: interrupted", file=sys.stderr)
        return 130
    except zoolib.ZoolibError as error:
        print(f"zoolib: {error}", file=sys.stderr)
        return 1


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="zoolib", description=zoolib.__doc__)
    parser.add_argument("--version", action="version", version=f"zoolib {zoolib.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = commands.add_parser

    add("list", help="the methods and their presets").set_defaults(command=_list)
    add("doctor", help="what this machine has").set_defaults(command=_doctor)
    runs = add("runs", help="the runs in a folder")
    runs.add_argument("--out", default="runs")
    runs.set_defaults(command=_runs)

    add("train", help="train a method; see: train MODEL --help")
    add("launch", help="train on several devices, one process each; see: launch --help")
    add("data", help="make records of images, or check them; see: data --help")
    add("npu-check", help="whether a method's step suits an Ascend NPU, told on any machine")

    evaluate = add("eval", help="evaluate a run's newest checkpoint")
    evaluate.add_argument("folder")
    evaluate.add_argument("--device", default="auto")
    evaluate.add_argument("--json", action="store_true")
    evaluate.set_defaults(command=_eval)

    compare = add("compare", help="runs side by side: what differs, seeds, paired intervals")
    compare.add_argument("folders", nargs="+", metavar="FOLDER", help="of a run, or of many runs")
    compare.add_argument("--metric", help="judge by this one, not by the method's headline")
    compare.add_argument("--all", action="store_true", help="every metric of a pair")
    compare.add_argument("--json", action="store_true")
    compare.set_defaults(command=_compare)

    export = add("export", help="write a trained model for other programs")
    export.add_argument("folder")
    export.add_argument(
        "--format", required=True, help="savedmodel, frozen, onnx, tflite or tflite-int8"
    )
    export.add_argument("--to", required=True, help="folder or file to make")
    export.add_argument("--device", default="auto")
    export.set_defaults(command=_export)

    counts = add("counts", help="parameters and multiply-adds of a method's networks")
    counts.add_argument("model")
    counts.set_defaults(command=_counts)
    add_predict(add)
    add_swa(add)
    return parser


def _list(_: argparse.Namespace) -> None:
    for name in zoolib.list_models():
        spec = zoolib.get_model(name)
        print(f"{name:14} {spec.title}\n{'':14} {spec.paper}")
        for preset, make in spec.presets.items():
            print(f"{'':14} {preset:9} {' '.join((make.__doc__ or '').split())}")


def _counts(arguments: argparse.Namespace) -> None:
    counts = _part(arguments.model, "counts")
    if counts is None:
        raise ConfigError(f"counts: {arguments.model} has no networks of fixed sizes")
    print(counts.table())


def _part(model: str, name: str) -> Any:
    """A module that only some methods have; None if this one has not."""
    path = f"zoolib.models.{zoolib.get_model(model).name}.{name}"
    return importlib.import_module(path) if importlib.util.find_spec(path) else None


def _doctor(_: argparse.Namespace) -> int:
    from zoolib.core.doctor import report

    with contextlib.suppress(ImportError):  # the report says what is missing
        import_tensorflow()
    lines, healthy = report()
    print("\n".join(lines))
    return 0 if healthy else 1


def _runs(arguments: argparse.Namespace) -> None:
    from zoolib.core.store import RunFolder

    for path in sorted(Path(arguments.out).glob("*/config.json")):
        try:
            folder = RunFolder.open(path.parent)
            summary = folder.summary()
        except StoreError as error:
            print(f"{path.parent}  damaged: {error}")
            continue
        state = "finished" if summary else "unfinished"
        shown = _short((summary or {}).get("metrics", {}))
        print(f"{path.parent}  {folder.config.model} {folder.config.preset}  {state}  {shown}")


def _short(metrics: dict[str, float], most: int = 3) -> str:
    return "  ".join(f"{k} {v:.4g}" for k, v in list(metrics.items())[:most])


def _train(rest: list[str]) -> int:
    if rest[:1] in (["-h"], ["--help"]):
        print(f"usage: zoolib train MODEL [options]; MODEL is one of {zoolib.list_models()}")
        return 0
    options, config, resume, npu = _checked(rest)

    import_tensorflow()  # now that it is needed
    from zoolib.core.events import Failed, Finished, Started
    from zoolib.core.run import run
    from zoolib.core.train import shown

    events = shown(run(config, options.device, options.precision, options.out, resume, npu))
    logs = _part(rest[0], "logs")
    events = logs.logged(events) if logs else events
    folder = None
    try:
        with contextlib.closing(events):
            for event in events:
                if isinstance(event, Started):
                    folder = event.folder
                    _announce(event, options)
                    _follow()
                    told = {"model": event.config.model, "preset": event.config.preset}
                    told.update(device=event.device, precision=event.precision)
                elif isinstance(event, Failed) and isinstance(event.error, zoolib.ZoolibError):
                    print(f"zoolib: {event.error}", file=sys.stderr)
                    return 1  # it ran, so this is not bad input
                elif isinstance(event, Finished):
                    told.update(steps=event.step, metrics=event.metrics, seconds=event.seconds)
                    told.update(steps_per_second=event.steps_per_second, folder=str(folder))
                    _tell(told, options)
    except KeyboardInterrupt:
        if folder is None:  # nothing was written yet
            raise
        print(f"zoolib: interrupted; saved, go on with --resume {folder}", file=sys.stderr)
        return 130
    return 0


def _checked(rest: list[str]) -> tuple[argparse.Namespace, Any, str | None, Any]:
    """What `train` is asked for: its options, the config, the folder to resume, NPU options."""
    if not rest or rest[0].startswith("-"):
        raise ConfigError(f"train: expected a model, one of {', '.join(zoolib.list_models())}")
    spec = zoolib.get_model(rest[0])
    options = train_parser(spec).parse_args(rest[1:])
    return (options, *_wanted(spec, options), npu_options(_given(options, "n__")))


def _follow() -> None:
    """A rank other than 0 has nothing to save: on a signal it goes on until it is killed.

    So it does not leave before rank 0, which could not finish the step under way without it.
    """
    from zoolib.runtime.device import current

    if current().rank:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _wanted(spec: Any, options: argparse.Namespace) -> tuple[Any, str | None]:
    """The config (None: the resumed run's own) and the folder to resume (None: a new run).

    ``--resume true``, as the seed documents have it, means the newest unfinished run of this model
    that has the settings given; a new run if there is none.
    """
    changes = _given(options, "c__")
    told = options.preset is not None or bool(changes)
    config = spec.preset(options.preset or "tutorial", **changes)
    text = (options.resume or "false").lower()
    if text in ("false", "0", "no"):
        return config, None
    if text in ("true", "1", "yes"):
        found = _unfinished(spec.name, Path(options.out), config if told else None)
        return (None if found else config), found
    stored = zoolib.load(options.resume).config
    if stored.model != spec.name:
        raise StoreError(f"{options.resume}: holds a run of {stored.model}, not of {spec.name}")
    if options.preset is None and changes:  # relative to the run itself, with which they must agree
        config = stored.replace(**changes)
    return (config if told else None), options.resume


def _given(options: argparse.Namespace, prefix: str) -> dict[str, str]:
    """Options of one kind that were given, by name."""
    every = vars(options).items()
    return {k[len(prefix) :]: v for k, v in every if k.startswith(prefix) and v is not None}


def _unfinished(model: str, out: Path, config: Any) -> str | None:
    """The newest unfinished run of a model under ``out``; with these settings, if given."""
    from zoolib.core.store import RunFolder

    places = [p.parent for p in out.glob(f"{model}-*/config.json")]
    for place in sorted(places, key=lambda p: p.stat().st_mtime, reverse=True):
        with contextlib.suppress(StoreError):
            folder = RunFolder.open(place)
            if folder.summary() is None and not (config and folder.config.diff(config)):
                return str(place)
    return None


def _announce(started: Any, options: argparse.Namespace) -> None:
    config, npu = started.config, _given(options, "n__")
    print(f"{config.model}: effective settings", file=sys.stderr)
    for name, value in config.to_dict().items():
        print(f"  {name:20} {value}", file=sys.stderr)
    for name in config.meaningless:
        if getattr(options, f"seed__{name}") is not None:
            print(f"  --{name} has no meaning here and is ignored", file=sys.stderr)
    for name, value in npu.items():
        told = "" if started.device.startswith("npu") else f"  (no effect on {started.device})"
        print(f"  {name:20} {value}{told}", file=sys.stderr)


def _eval(arguments: argparse.Namespace) -> None:
    from zoolib.core.store import RunFolder

    result = zoolib.load(arguments.folder, arguments.device)
    import_tensorflow()
    task = result.task
    checkpoint, _ = RunFolder.open(result.folder).latest()
    summary = {
        "model": result.config.model,
        "preset": result.config.preset,
        "folder": str(result.folder),
        "metrics": result.evaluate(),
        "steps": checkpoint.step,
        "device": task.session.device.name,
        "precision": task.session.precision,
    }
    _tell(summary, arguments)


def _compare(arguments: argparse.Namespace) -> None:
    found = zoolib.compare(*arguments.folders, metric=arguments.metric)
    if arguments.json:
        print(json.dumps(_finite(found.to_dict()), allow_nan=False))
    else:
        print(found.text(everything=arguments.all))


def _export(arguments: argparse.Namespace) -> None:
    result = zoolib.load(arguments.folder, arguments.device)
    import_tensorflow()
    task = result.task
    written = zoolib.export(task, arguments.format, arguments.to)
    print(written)
    if written.conversion is not None:
        print(f"\n{written.conversion.text()}", end="")


def _tell(summary: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(_finite(summary), allow_nan=False))
        return
    for name, value in summary["metrics"].items():
        print(f"{name:40} {value:.6g}")
    print(f"{'folder':40} {summary['folder']}")


def _finite(value: Any) -> Any:
    """JSON knows no infinity: null stands for a number that is not finite."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
