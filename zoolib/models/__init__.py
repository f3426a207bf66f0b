"""One folder per method; a folder with a ``SPEC`` is a registration."""
