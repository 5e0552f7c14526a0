"""The benchmark suite behind Benchmarks/compare."""
