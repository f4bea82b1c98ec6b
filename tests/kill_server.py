"""Runs the command line in processes that have all modules loaded already, and ends them where it is told to.

A program of its own, so that it has no threads and may fork. A line of JSON comes in for each process: `arguments`;
`kill_after` seconds or `kill_at_write`, the number of the write point (opening a file for writing, renaming or removing
one) below `folder` before which the process ends itself; `signal`; `file_limit`, the largest file it may write, as on a
full disk. A line with `code` and `output` goes back.
"""

import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

WRITES = os.O_WRONLY | os.O_RDWR


def main() -> None:
    load_everything()
    say("ready")
    for line in sys.stdin:
        job = json.loads(line)
        with tempfile.TemporaryFile("w+") as output:
            code = run(job, output.fileno())
            output.seek(0)
            say(json.dumps({"code": code, "output": output.read()}))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def load_everything() -> None:
    import torch.utils.tensorboard.summary  # noqa: F401
    from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: F401
    from tensorboard.summary.writer.record_writer import RecordWriter  # noqa: F401
    from transformers import CLIPTextModel, CLIPTextModelWithProjection  # noqa: F401

    import pseudoword.cli.main
    import pseudoword.services.train  # noqa: F401


def run(job: dict, output: int) -> int:
    started = os.fork()
    if started == 0:
        become(job, output)
    if "kill_after" in job:
        time.sleep(job["kill_after"])
        os.kill(started, job["signal"])
    _, status = os.waitpid(started, 0)
    return os.waitstatus_to_exitcode(status)


def become(job: dict, output: int) -> None:
    """Never returns."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if "file_limit" in job:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_limit"], job["file_limit"]))
    if "kill_at_write" in job:
        sys.addaudithook(Assassin(job["folder"], job["kill_at_write"], job["signal"]))
    from pseudoword.cli.main import app

    code = 1
    try:
        app(job["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Assassin:
    """Counts write points below a folder and sends the signal before the one that was chosen."""

    def __init__(self, folder: str, number: int, signal_number: int) -> None:
        self.folder, self.left, self.signal = folder, number, signal_number

    def __call__(self, event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            counts = isinstance(flags, int) and bool(flags & WRITES)
        elif event in ("os.rename", "os.remove", "os.truncate", "os.mkdir"):
            path, counts = arguments[0], True
        else:
            return
        if counts and isinstance(path, str | Path) and str(path).startswith(self.folder):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), self.signal)


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    main()
