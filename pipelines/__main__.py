"""`python -m pipelines` runs the command `depthstream`."""

from pipelines.cli.entry import main

if __name__ == "__main__":
    main()
