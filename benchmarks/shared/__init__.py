"""What the benchmark scripts share; none of it is part of the library."""
