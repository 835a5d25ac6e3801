"""Activations with the bias in front of them, and their way back with the sum that it gets."""

from numba.extending import register_jitable

from backprop.kernels.compiled.compiler import Matrix, Vector, given, helper, loop, optional
from backprop.kernels.compiled.maths import exp, largest, sigmoid as sigmoid_of, tanh as tanh_of

# a function that can be handed to another one in a loop that is kept on disk
handed = register_jitable(error_model="numpy", fastmath={"contract"})
Given = given(Matrix)
Bias, DBias = optional(given(Vector)), optional(Vector)


@helper
def over(f, z, bias):
    """z ← f(z + bias)"""
    for i in range(z.shape[0]):
        y = z[i]
        for j in range(y.size):
            y[j] = f(y[j] if bias is None else y[j] + bias[j])


@helper
def back(slope, y, dy, dz, dbias):
    """dz ← slope(y) dy        dbias ← Σ_rows dz"""
    if dbias is not None:
        dbias[:] = 0
    for i in range(y.shape[0]):
        a, d, out = y[i], dy[i], dz[i]
        for j in range(out.size):
            found = slope(a[j]) * d[j]
            out[j] = found
            if dbias is not None:
                dbias[j] += found


@handed
def positive(x):
    zero = type(x)(0)
    return zero if x <= zero else x


@handed
def logistic(x):
    return sigmoid_of(x)


@handed
def slope_of_relu(y):
    return type(y)(1) if y > 0 else type(y)(0)


@handed
def slope_of_tanh(y):
    return type(y)(1) - y * y


@handed
def slope_of_logistic(y):
    return y * (type(y)(1) - y)


@loop(Matrix, Bias)
def relu(z, bias):
    over(positive, z, bias)


@loop(Given, Given, Matrix, DBias)
def relu_backward(y, dy, dz, dbias):
    back(slope_of_relu, y, dy, dz, dbias)


@loop(Matrix, Bias)
def tanh(z, bias):
    over(tanh_of, z, bias)


@loop(Given, Given, Matrix, DBias)
def tanh_backward(y, dy, dz, dbias):
    back(slope_of_tanh, y, dy, dz, dbias)


@loop(Matrix, Bias)
def sigmoid(z, bias):
    over(logistic, z, bias)


@loop(Given, Given, Matrix, DBias)
def sigmoid_backward(y, dy, dz, dbias):
    back(slope_of_logistic, y, dy, dz, dbias)


@loop(Matrix, Bias)
def softmax(z, bias):
    for i in range(z.shape[0]):
        y = z[i]
        if bias is not None:
            for j in range(y.size):
                y[j] += bias[j]
        top, total = largest(y), z.dtype.type(0)
        for j in range(y.size):
            y[j] = exp(y[j] - top)
            total += y[j]
        for j in range(y.size):
            y[j] /= total


@loop(Given, Given, Matrix, DBias)
def softmax_backward(y, dy, dz, dbias):
    if dbias is not None:
        dbias[:] = 0
    for i in range(y.shape[0]):
        a, d, out = y[i], dy[i], dz[i]
        mean, rest = dz.dtype.type(0), dz.dtype.type(0)
        for j in range(out.size):
            mean += a[j] * d[j]
        for j in range(out.size):
            out[j] = d[j] - mean
            rest += a[j] * out[j]
        for j in range(out.size):
            out[j] = (out[j] - rest) * a[j]
            if dbias is not None:
                dbias[j] += out[j]
