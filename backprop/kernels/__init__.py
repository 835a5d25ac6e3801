"""The few loops that deserve compiling, each beside its twin in NumPy.

NumPy does one thing to a whole array and then the next, so what ten calls do to a vector goes ten
times through memory, and a call takes a third of a microsecond however small the array is. A
kernel does it in one call and one pass.

A kernel is a function with two forms of the same name and the same arguments. Its twin, in a file
of this folder, says in NumPy what it computes: it is the reference, and what runs where Numba is
not installed. Its loop, in the file of the same name in `compiled`, is what Numba compiles. Layers,
losses and optimizers call the one name and do not know which runs; `switch` decides.

    from backprop.kernels import updates

    updates.adam(w, g, m, v, None, t, b1, b2, shift, rate, *around)

Numba comes with the extra `fast`. It is imported, and a loop compiled, at the first call that
needs it; what was compiled is kept on disk.
"""
