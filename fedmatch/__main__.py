"""How is `python -m fedmatch` run? As the command `fedmatch`."""

from fedmatch.cli.main import main

if __name__ == "__main__":
    main()
