"""Write `resized_images.npz`: an image of bytes, and what TensorFlow makes of it in other sizes.

    KERAS_BACKEND=tensorflow python tests/golden/resized_images.py

with TensorFlow 2.21 and Keras 3.15. The names in it are ``way_method_height_width``.
"""

from pathlib import Path

import numpy as np

METHODS = [
    "bilinear",
    "nearest",
    "bicubic",
    "area",
    "lanczos3",
    "lanczos5",
    "gaussian",
    "mitchellcubic",
]
SIZES = [(5, 6), (17, 8), (3, 20)]


def main():
    import tensorflow as tf
    from keras.preprocessing.image import smart_resize

    def crop(image, size, method):
        from keras.src.backend import tensorflow as backend

        return smart_resize(image, size, method, backend_module=backend)

    def whole(image, size, method):
        return tf.image.resize(image, size, method=method)

    def pad(image, size, method):
        return tf.image.resize_with_pad(image, *size, method=method)

    x = np.random.default_rng(0).integers(0, 255, (11, 8, 3), np.uint8)
    found = {"x": x}
    unknown = [tf.TensorSpec([None, None, 3], tf.uint8)]  # sizes that the files of a directory have
    for method in METHODS:
        for size in SIZES:
            for way in (whole, pad, *([crop] if method not in METHODS[-2:] else [])):
                function = tf.function(
                    lambda image, w=way, s=size, m=method: w(image, s, m), input_signature=unknown
                )
                name = f"{way.__name__}_{method}_{size[0]}_{size[1]}"
                found[name] = function(x).numpy().astype(np.float32)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **found)


if __name__ == "__main__":
    main()
