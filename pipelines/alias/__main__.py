"""``python -m depthstream`` is the command ``depthstream``."""

from pipelines.cli.entry import main

if __name__ == "__main__":
    main()
