"""Parts that the load test, the benchmark, the capacity plan and the tests share. Imports none of them."""
