"""`python -m seqc_runtime`."""

from seqc_runtime.cli import main

main()
