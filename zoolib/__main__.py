"""`python -m zoolib` is the console script `zoolib`."""

import sys

from zoolib.cli import main

if __name__ == "__main__":
    sys.exit(main())
