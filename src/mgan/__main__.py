"""``python -m mgan``."""

from mgan.cli.main import main

if __name__ == "__main__":
    main()
