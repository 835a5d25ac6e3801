"""A variational autoencoder draws digits: its code is a distribution, and a layer adds to the loss.

    python docs/examples/variational_autoencoder.py

An encoder says of each image where in a space of 8 numbers it lies, and how exactly: mu and
log sigma². A decoder sees one point that `Sampling` draws there. The layer also adds to the loss
how far that distribution is from the standard normal one, so that in the end points drawn from the
latter are decoded to digits. It prints, for test images, what a bit-by-bit code would need with the
model and with independent pixels (a bound on the negative log-likelihood, in nats), and of how many
drawn digits a classifier is sure.
"""

import numpy as np

import backprop as bp
from backprop.gradcheck import gradcheck
from backprop.layer import INFERENCE, Layer

CODE = 8


class Sampling(Layer):
    """y = mu + sigma n, with n standard normal in training and 0 in inference; and the loss grows
    by the divergence of N(mu, sigma²) from N(0, 1), the mean over the batch:

        D = strength Σ ½ (mu² + sigma² - 1 - log sigma²) / N

        x: (mu, log sigma²)    y, mu, sigma, n: (N, k)

    With c = strength / N:

        dmu = dy + c mu        dlog sigma² = ½ (dy sigma n + c (sigma² - 1))

    Source: Kingma and Welling, Auto-encoding variational Bayes, 2014, appendix B.
    """

    strength: float = 1.0
    seed: int | None = None

    call_inputs = ("mu", "log_variance")
    penalises = True

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def forward(self, x, ctx=INFERENCE):
        mu, log_variance = x
        variance, c = np.exp(log_variance), self.strength / max(len(mu), 1)
        if ctx.penalties is not None:
            ctx.penalties.append(c / 2 * (mu**2 + variance - 1 - log_variance).sum())
        noise = np.zeros_like(mu)
        if ctx.training:
            noise = np.sqrt(variance) * self.rng.standard_normal(mu.shape).astype(mu.dtype)
        return mu + noise, (mu, variance, noise, c)

    def backward(self, dy, cache):
        mu, variance, noise, c = cache
        return dy + c * mu, (dy * noise + c * (variance - 1)) / 2


def dense(units, activation=None, name=None):
    return bp.layers.Dense(units, activation, name=name)


bp.utils.set_random_seed(0)
(x, labels), (x_test, labels_test) = bp.datasets.digits.load_data()
x, x_test = (images.reshape(-1, 64) > 7 for images in (x, x_test))  # a pixel is on or off

image = bp.Input((64,), name="image")
h = dense(128, "gelu")(image)
mu, log_variance = dense(CODE, name="mu")(h), dense(CODE, name="log_variance")(h)
code = Sampling(name="code")(mu, log_variance)
decoder = bp.Sequential(
    [bp.Input((CODE,)), dense(128, "gelu"), dense(64, "sigmoid")], name="decoder"
)
model = bp.Model(image, decoder(code))

# the loss is a mean over 64 pixels and the divergence a sum: 64 times the one is in nats as well
model.compile(bp.optimizers.Adam(2e-3), loss="binary_crossentropy", loss_weights=64.0)
print("gradients:", "all right" if gradcheck(model, x[:4], x[:4]) else "wrong")
model.fit(x, x, epochs=100, batch_size=64, verbose=0)


def nats(p, x):
    """-log of the probability of x where each pixel is on with probability p, a mean."""
    return -np.log(np.where(x, p, 1 - p).clip(1e-4)).sum(1).mean()


mu, log_variance = model.activations(x_test, ["mu", "log_variance"]).values()
divergence = (mu**2 + np.exp(log_variance) - 1 - log_variance).sum(1).mean() / 2
restored = np.mean([nats(model(x_test, training=True), x_test) for _ in range(10)])
print(f"independent pixels       {nats(x.mean(0), x_test):.2f} nats an image")
print(f"variational autoencoder  {restored + divergence:.2f}, of which its code {divergence:.2f}")

judge = bp.Sequential([bp.Input((64,)), dense(64, "relu"), dense(10, "softmax")])
judge.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
judge.fit(x, labels, epochs=60, verbose=0)


def sure(images):
    """The share of images of which the classifier is sure at 90 %."""
    return (judge.predict(images, verbose=0).max(1) > 0.9).mean()


draws = decoder.predict(np.random.default_rng(0).normal(size=(1000, CODE)), verbose=0)
noise = np.random.default_rng(0).permuted(x_test, axis=0)
print(
    f"the classifier is sure   {sure(draws):.0%} of drawn digits, {sure(x_test):.0%} of real ones,"
)
print(f"                         {sure(noise):.0%} of images of independent pixels")
