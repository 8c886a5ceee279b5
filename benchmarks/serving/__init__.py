"""Comparison of seqc-runtime with other servers: `python -m serving`, with `benchmarks` on PYTHONPATH."""
