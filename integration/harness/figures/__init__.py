"""Parts of the benchmark that are long enough for a file of their own; bench.py lists them."""
