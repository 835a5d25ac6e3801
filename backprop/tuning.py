"""Numbers that decide how fast something is, and never what comes out but for the last digit.

Each says its unit, what it decides, and, where there is one, the script in `benchmarks/` whose
figures depend on it: change a number, run its script on the machine that you care about, and
compare. The units:

    numbers     entries of an array, whatever their dtype
    products    multiplications within a matrix product
    others      rows, steps, channels, pixels and bytes, as they are called

The figures in `benchmarks/README.md` are those of two cores, for float32.
"""

# ------------------------------------------------------------------------------- rows and products

# numbers in a row: up to so many, NumPy reduces faster along the columns of a copy (activations.py)
SHORT_ROW = 64
# numbers in a vector of ones, or of multiples, that is kept for the next call (overhead.py)
KEPT_VECTOR = 4096
# products in one matrix product that threads share, where BLAS is held to one (train_step.py, the
# rows cnn-mnist and transformer)
SHARED_PRODUCTS = 1 << 25

# ----------------------------------------------------------------------------------- activations

# numbers: below, one more pass over an array costs less than the set-up of clip (activations.py)
CLIPPED_NUMBERS = 8192
# numbers in dy of a rectifier that are worth a thread, and stay in a core's cache (train_step.py,
# the rows cnn-mnist and cnn-cifar)
RECTIFIED_NUMBERS = 1 << 18

# ------------------------------------------------------------- convolution (convolution.py for all)

# numbers of P, the windows side by side, that are made at a time: 8 MB of float32
P_BLOCK = 1 << 21
# times as large as x, P is kept for backward: windows that hardly overlap
P_KEPT = 3
# channels up to which P is written place by place
NARROW_CHANNELS = 4
# products that are worth a thread
CONVOLVED_PRODUCTS = 1 << 23
# numbers of z at a time, where channels do not meet: 256 KB of float32
DEPTHWISE_BLOCK = 1 << 16
# products in compiled loops of such a convolution that are worth a thread
DEPTHWISE_PRODUCTS = 1 << 20
# numbers in a row of z to which the bias is added: NumPy is slow where rows are short
BIAS_ROW = 1 << 14
# times fewer products pay for Winograd's transforms
WINOGRAD_GAIN = 1.9
# channels: with less, the transforms take longer than the products that they save
WINOGRAD_CHANNELS = 16
# numbers of V and M that pay for the transforms, or for a thread
WINOGRAD_NUMBERS = 1 << 18
# images times channels of a block: a row in the products with small matrices
TILE_ROW = 256
# tiles at least, the rows of a product: with less, adding up dU takes as long
TILES_AT_ONCE = 128
# numbers of each value, in V and M together, where that makes more tiles
TILE_BLOCK = 1 << 14

# ----------------------------------------------- other images (train_step.py, the row cnn-cifar)

# numbers of x at a time, so that the second axis finds the first one's in the cache
POOLING_BLOCK = 1 << 19
# numbers at a time that batch normalization reads: long calls, and a fraction of a thread's L3
NORMALIZATION_BLOCK = 1 << 19
# numbers in a row that is long enough for NumPy; several rows make one
NORMALIZATION_ROW = 1 << 13
# pixels that are interpolated at a time (no script)
INTERPOLATED_PIXELS = 1 << 16
# rows of y at a time, which have most of their neighbours in common (no script)
INTERPOLATED_ROWS = 16
# numbers of a row of y at a time, where pixels have few channels (new_face.py, Resizing)
INTERPOLATED_COLUMNS = 24
# numbers beside each other in x, from which each row of an image gets a product (no script)
CHANNELS_SIDE_BY_SIDE = 16

# --------------------------------------------------------- recurrent layers (recurrent.py for all)

# steps that are one piece of work beside the loop
STRETCH = 20
# of them make a piece of their own, as the loop waits for the first piece
FIRST_STRETCH = 5
# numbers of z in a piece at least, with as many steps (predict.py, one row of lstm and gru)
STRETCH_NUMBERS = 1 << 16
# numbers in dz of the steps that look back together
LOOK_BACK = 1 << 18
# numbers in z from which on a second thread pays
LARGE_LOOP = 1 << 17
# rows in a part of a batch that a compiled loop takes to a thread of its own
LEAST_PART = 16
# products of a step that is run without copies of its factors
UNCOPIED = 1_000_000

# -------------------------------------------------------------------------- transformers, updates

# numbers in x from which on a second thread is worth its hand-off (train_step.py, transformer)
FORK_SIZE = 1 << 15
# numbers that are updated at a time: five vectors of them fit in a core's cache, and a call pays
# for itself (optimizers.py)
UPDATE_BLOCK = 1 << 16

# ---------------------------------------------------------------------------------- whole models

# numbers in the largest array of a prediction: they still lie in a cache (predict.py)
PREDICTION_NUMBERS = 1 << 20
# numbers in it where every row is a vector (predict.py, mlp-mnist)
PREDICTION_VECTORS = 1 << 22
# rows of a prediction, at least and at most (predict.py)
PREDICTION_ROWS = 32, 4096
# numbers of sparse rows that are made dense at a time, where statistics are taken (no script)
DENSE_NUMBERS = 1 << 20
# bytes of a block that malloc gives back to the system when it is freed; smaller ones are kept
# (train_step.py)
RETURNED_BYTES = 32 << 20
