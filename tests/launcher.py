"""Starts `zoolib` command lines as real processes, without importing TensorFlow each time.

One process imports everything and forks a child per command; TensorFlow starts no threads before
its first operation, which only children run. Reads one JSON object per line on standard input.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback

import zoolib.models

zoolib.models.__path__.append(sys.argv[1])

from zoolib.cli import main  # noqa: E402

for module in ("zoolib.core.run", "zoolib.models.mtnet.task", "zoolib.models.line.task"):
    __import__(module)


def child(order: dict) -> None:
    """Becomes the command; never returns."""
    os.chdir(order["cwd"])
    for number, name in ((1, order["out"]), (2, order["err"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    if order["limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["limit"], order["limit"]))
    code = 1
    try:
        code = main(order["argv"])
    except SystemExit as exit:
        code = exit.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if "wait" in order:
        _, status = os.waitpid(order["wait"], 0)
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        print(code, flush=True)
        continue
    pid = os.fork()
    if not pid:
        child(order)
    print(pid, flush=True)
