"""TensorBoard's event file, written in whole records and without a thread of its own.

torch's SummaryWriter hands records to a thread, which on a full disk dies behind the program's back.
"""

import io
import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pseudoword.files import AppendFile


class Board:
    """One event file of one session; values after `purge_from` of earlier sessions are declared void."""

    def __init__(self, folder: Path, purge_from: int | None) -> None:
        from tensorboard.compat.proto import event_pb2

        made: Any = event_pb2  # generated code, which no type checker reads
        self._event = made.Event
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = AppendFile(folder / name)
        self._add(self._event(wall_time=time.time(), file_version="brain.Event:2"))
        if purge_from is not None:
            start = made.SessionLog(status=made.SessionLog.START)
            self._add(self._event(wall_time=time.time(), step=purge_from, session_log=start))

    def number(self, name: str, value: float, step: int) -> None:
        """A point of a curve."""
        from torch.utils.tensorboard.summary import scalar

        self._add(self._event(wall_time=time.time(), step=step, summary=scalar(name, value)))

    def text(self, name: str, text: str, step: int) -> None:
        """A text, in Markdown."""
        from torch.utils.tensorboard.summary import text as text_summary

        self._add(self._event(wall_time=time.time(), step=step, summary=text_summary(name, text)))

    def picture(self, name: str, path: Path, step: int) -> None:
        """A picture file."""
        from torch.utils.tensorboard.summary import image

        with Image.open(path) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        self._add(self._event(wall_time=time.time(), step=step, summary=image(name, pixels, dataformats="HWC")))

    def _add(self, event: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        self._file.add(record.getvalue())

    def flush(self) -> None:
        """Write all of it; raises BadFile where that cannot be."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
