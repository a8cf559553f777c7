"""``python -m sureclose`` is the command line."""

from sureclose.cli.main import main

if __name__ == "__main__":
    main()
