"""`python -m seqc`."""

from seqc.cli import main

main()
