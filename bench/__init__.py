"""Side-by-side measurements; run them as `python -m bench.sgm` from the repository."""
