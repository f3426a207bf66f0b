"""Speed and memory of MT-net at the seed's configuration, beside two yardsticks.

    python benchmarks/mtnet.py                # ten minutes; writes benchmarks/results/mtnet.json
    python benchmarks/mtnet.py --quick        # one short round; writes nothing without --out

Contenders: `zoolib.run` with the paper preset; `per_task`, MT-net written the way the earlier
implementation works (yardsticks/mtnet_per_task.py); and, where this Python or the one named by the
environment variable JAX_PYTHON has jax, `jax`, the same algorithm as a jitted scan
(yardsticks/mtnet_jax.py). Every measurement is a process of its own; the contenders take turns,
in changing order. The yardsticks run with their default threads and with one; the better counts.
zoolib sets its threads itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from yardsticks.surroundings import ask, commit, machine

HERE = Path(__file__).resolve().parent
YARDSTICKS = HERE / "yardsticks"
ONE_THREAD_JAX = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
LISTING = (
    "import time; began = time.perf_counter(); import zoolib; zoolib.list_models(); "
    "seconds = time.perf_counter() - began; import json, sys; "
    "print(json.dumps({'seconds': seconds, 'tensorflow': 'tensorflow' in sys.modules}))"
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much to measure; rates as (steps per block, blocks)."""

    rounds: int = 5
    zoolib: tuple[int, int] = (5000, 4)
    per_task: tuple[int, int] = (400, 4)
    jax: tuple[int, int] = (2000, 6)
    iterations: int = 60_000
    learner_iterations: int = 2000
    moves: int = 60
    listings: int = 5


QUICK = Plan(1, (500, 2), (30, 2), (500, 2), 3000, 50, 8, 2)


@dataclasses.dataclass(frozen=True)
class Contender:
    """One way to train, at one thread setting.

    Attributes:
        name: zoolib, per_task or jax.
        threads: the setting in words.
        command: the process that measures it.
        variables: added to its environment.
    """

    name: str
    threads: str
    command: list[str]
    variables: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.name}, {self.threads}"


def jax_python() -> str | None:
    """The interpreter that has jax: JAX_PYTHON if set, else this one; None without jax."""
    python = os.environ.get("JAX_PYTHON") or sys.executable
    probe = subprocess.run([python, "-c", "import jax, numpy"], capture_output=True, text=True)
    if probe.returncode and "JAX_PYTHON" in os.environ:
        raise SystemExit(f"JAX_PYTHON: {python} cannot import jax: {probe.stderr[-500:]}")
    return None if probe.returncode else python


def contenders(plan: Plan) -> list[Contender]:
    """Everyone who takes part here."""

    def command(script: str, size: tuple[int, int], *more: str, python: str = "") -> list[str]:
        scale = ["--steps", str(size[0]), "--blocks", str(size[1])]
        return [python or sys.executable, str(YARDSTICKS / script), *more, *scale]

    per_task = command("mtnet_per_task.py", plan.per_task)
    found = [
        Contender("zoolib", "as it is", command("mtnet_zoolib.py", plan.zoolib, "rate")),
        Contender("per_task", "default threads", per_task),
        Contender("per_task", "one thread", [*per_task, "--threads", "1"]),
    ]
    python = jax_python()
    if python:
        scan = command("mtnet_jax.py", plan.jax, python=python)
        found += [
            Contender("jax", "default threads", scan),
            Contender("jax", "one thread", scan, {"XLA_FLAGS": ONE_THREAD_JAX}),
        ]
    return found


def race(plan: Plan) -> tuple[list[dict[str, Any]], list[dict[str, dict[str, Any]]]]:
    """Alternating rounds; the summary of each contender, and each round's answers by label."""
    field, rounds = contenders(plan), []
    for number in range(plan.rounds):
        order = field if number % 2 == 0 else field[::-1]
        answers = {c.label: ask(c.command, c.variables) for c in order}
        rounds.append(answers)
        shown = ", ".join(f"{label} {a['median']:.0f}" for label, a in sorted(answers.items()))
        print(f"round {number + 1} of {plan.rounds}, steps/s: {shown}", flush=True)
    return [summary(c, [answers[c.label] for answers in rounds]) for c in field], rounds


def summary(contender: Contender, answers: list[dict[str, Any]]) -> dict[str, Any]:
    """One contender over all rounds."""
    rates = [rate for answer in answers for rate in answer["rates"]]
    return {
        "name": contender.name,
        "threads": contender.threads,
        "median": round(statistics.median(rates), 1),
        "best": max(rates),
        "compile_seconds": statistics.median(a["compile_seconds"] for a in answers),
        "peak_mib": max(a["peak_mib"] for a in answers),
        "last_loss": answers[-1]["loss"],
        "versions": answers[-1]["versions"],
        "rates": [answer["rates"] for answer in answers],
    }


def ratio(rounds: list[dict[str, dict[str, Any]]], rival: str) -> dict[str, Any] | None:
    """How many times as fast as a yardstick zoolib is, round by round; None without that rival.

    A round's ratio is that of the medians; of a rival's thread settings the faster one counts.
    """
    ratios = []
    for answers in rounds:
        by = {name: [] for name in ("zoolib", rival)}
        for label, answer in answers.items():
            by.setdefault(label.split(",")[0], []).append(answer["median"])
        if not by[rival]:
            return None
        ratios.append(round(by["zoolib"][0] / max(by[rival]), 2))
    middle = round(statistics.median(ratios), 2)
    return {"rounds": ratios, "median": middle, "low": min(ratios), "high": max(ratios)}


def listing(times: int) -> dict[str, Any]:
    """`import zoolib; zoolib.list_models()` in fresh processes."""
    answers = [ask([sys.executable, "-c", LISTING]) for _ in range(times)]
    seconds = [round(a["seconds"], 4) for a in answers]
    return {
        "median_seconds": statistics.median(seconds),
        "worst_seconds": max(seconds),
        "tensorflow_imported": any(a["tensorflow"] for a in answers),
    }


def measure(plan: Plan) -> dict[str, Any]:
    """All measurements."""
    document: dict[str, Any] = {"commit": commit(), "machine": machine()}
    document["contenders"], rounds = race(plan)
    document["ratios"] = {rival: ratio(rounds, rival) for rival in ("per_task", "jax")}
    print("the whole run, the list of models, the explorer", flush=True)
    itself = [sys.executable, str(YARDSTICKS / "mtnet_zoolib.py")]
    document["whole_run"] = ask([*itself, "whole", "--iterations", str(plan.iterations)])
    document["list_models"] = listing(plan.listings)
    few, moves = str(plan.learner_iterations), str(plan.moves)
    document["explorer"] = ask([*itself, "explorer", "--iterations", few, "--moves", moves])
    return document


def table(document: dict[str, Any]) -> str:
    """The document for people."""
    title = f"{'meta-steps per second':32}{'median':>9}{'best':>9}{'compile s':>11}{'peak MiB':>10}"
    lines = [title, "-" * len(title)]
    for c in document["contenders"]:
        lines.append(
            f"{c['name'] + ', ' + c['threads']:32}{c['median']:9.0f}{c['best']:9.0f}"
            f"{c['compile_seconds']:11.1f}{c['peak_mib']:10.0f}"
        )
    for rival, r in document["ratios"].items():
        told = "not measured: no jax in this Python; JAX_PYTHON may name one that has it"
        if r:
            each = " ".join(f"{value:.2f}" for value in r["rounds"])
            told = f"{r['median']:.2f} times ({r['low']:.2f} to {r['high']:.2f}; rounds {each})"
        lines.append(f"zoolib / {rival:10} {told}")
    run, grown = document["whole_run"], document["whole_run"]["growth"]
    models, moves = document["list_models"], document["explorer"]
    came = "imported" if models["tensorflow_imported"] else "not imported"
    lines += [
        "",
        f"{run['iterations']} meta-iterations, whole process: {run['wall_seconds']:.1f} s "
        f"(training {run['training_seconds']:.1f} s), peak {run['peak_mib']:.0f} MiB",
        f"  query_mse_step_1 {run['metrics'].get('query_mse_step_1')}; the step was traced "
        f"{run['traces']} time(s)",
        f"  memory from step {grown['from_step']}: {grown['mib']:+.2f} MiB over {grown['steps']} "
        f"steps, {grown['mib_to_end']:+.2f} MiB over {grown['steps_to_end']}",
        f"import and list_models: {models['median_seconds']:.3f} s "
        f"(worst {models['worst_seconds']:.3f}), TensorFlow {came}",
        f"explorer, {len(moves['learners'])} learners: {moves['median_ms']:.0f} ms per move "
        f"(worst {moves['worst_ms']:.0f}), of it adapting {moves['adapting_ms']:.0f} ms",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short version, to see that it runs")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    out = arguments.out or (None if arguments.quick else HERE / "results" / "mtnet.json")
    document = measure(QUICK if arguments.quick else Plan())
    print(f"\n{table(document)}")
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({"quick": arguments.quick, **document}, indent=1) + "\n")


if __name__ == "__main__":
    main()
