"""The reader's own process: `depthstream watch`, for as long as the process that started it is there.

    python -m pipelines.cli.reader_child FOLDER watch ENDPOINT ...

The parent holds the other end of standard input and never writes. When it closes that, or the system does because the
parent has ended (SIGKILL as well), this process removes FOLDER, which nobody needs any more, and ends.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading

from pipelines.cli.entry import main


def end_with_parent(folder: str) -> None:
    """Wait for the end of standard input, then end this process."""
    while os.read(0, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, args=(sys.argv.pop(1),), name="parent").start()
    main()
