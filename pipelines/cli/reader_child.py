"""The demo's reader: `depthstream watch` in a process that ends when its parent ends.

    python -m pipelines.cli.reader_child FOLDER watch ENDPOINT ...

The parent holds the other end of standard input and never writes. When the parent closes it, or the system does because
the parent is gone (also after SIGKILL), this process removes FOLDER, which is no longer needed, and exits.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading

from pipelines.cli.entry import main


def end_with_parent(folder: str) -> None:
    """Block until standard input is closed, then remove ``folder`` and exit this process."""
    while os.read(0, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # sys.exit would end this thread only


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, args=(sys.argv.pop(1),), name="parent").start()
    main()
