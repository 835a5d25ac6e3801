"""Draw a small U-Net: `python docs/images/u_net.py` writes `u_net.svg` beside this file."""

from pathlib import Path

import backprop as bp
from backprop import layers


def convolved(x, filters):
    return layers.Conv2D(filters, 3, padding="same", activation="relu")(x)


def u_net():
    """Down twice, up twice, each time with what was there at that size."""
    image = bp.Input((32, 32, 1), name="image")
    fine = convolved(image, 8)
    middle = convolved(layers.MaxPooling2D()(fine), 16)
    y = convolved(layers.MaxPooling2D()(middle), 32)
    for filters, beside in ((16, middle), (8, fine)):
        y = layers.Conv2DTranspose(filters, 2, strides=2)(y)
        y = convolved(layers.Concatenate()([y, beside]), filters)
    return bp.Model(image, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(y))


if __name__ == "__main__":
    bp.utils.set_random_seed(0)
    file = Path(__file__).with_name("u_net.svg")
    bp.utils.plot_model(u_net(), file, show_shapes=True, rankdir="LR", dpi=96, splines="curved")
