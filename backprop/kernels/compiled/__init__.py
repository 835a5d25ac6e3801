"""The loops behind the kernels, as Numba compiles them. Nothing here is imported without Numba."""
