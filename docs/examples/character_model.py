"""A transformer learns to write like Python's manual, one character after another.

    python docs/examples/character_model.py            # a minute and a half on one core
    python docs/examples/character_model.py --keras    # and the same network in Keras, on JAX

The text is what `help()` knows of the language; it ships with Python, in `pydoc_data.topics`. Every
tenth topic is held out. The network sees 64 characters and predicts the one behind each of them.
The script prints how many bits a held-out character costs, that is, how well it is foreseen; beside
it what the counts of pairs of characters reach; and in the end something that the network writes by
itself. With --keras both are trained from the same weights on the same batches.
"""

import argparse
import os
import time
from pydoc_data.topics import topics
from typing import Any

import numpy as np

import backprop as bp

STEPS, WIDTH, HEADS, BLOCKS, BATCH = 64, 64, 4, 2, 32

arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
arguments.add_argument("--batches", type=int, default=2000)
arguments.add_argument("--keras", action="store_true", help="train the same network in Keras too")
options = arguments.parse_args()

names = sorted(topics)
learned = "".join(topics[name] for i, name in enumerate(names) if i % 10)
held_out = "".join(topics[name] for name in names[::10])
letters = sorted(c for c in set(learned) if learned.count(c) >= 10)
number = {c: i + 1 for i, c in enumerate(letters)}  # 0 is any other character


def encode(text: str) -> np.ndarray:
    return np.array([number.get(c, 0) for c in text], np.int32)


def decode(tokens: np.ndarray) -> str:
    return "".join(letters[t - 1] if t else "?" for t in tokens)


train, test = encode(learned), encode(held_out)
vocabulary = len(letters) + 1
windows = test[: (len(test) - 1) // STEPS * STEPS].reshape(-1, STEPS)
following = test[1 : windows.size + 1].reshape(-1, STEPS)


def ours() -> bp.Sequential:
    """Embedding → positions → blocks → a score for each character."""
    block = {"activation": "gelu", "normalize_first": True, "use_causal_mask": True}
    return bp.Sequential(
        [
            bp.Input((None,), dtype="int32"),
            bp.layers.Embedding(vocabulary, WIDTH),
            bp.layers.PositionEmbedding(STEPS),
            *(bp.layers.TransformerBlock(4 * WIDTH, HEADS, **block) for _ in range(BLOCKS)),
            bp.layers.LayerNormalization(epsilon=1e-5),
            bp.layers.Dense(vocabulary),
        ]
    )


def theirs(keras: Any, weights: list[np.ndarray]) -> Any:
    """The same from Keras' layers, with the same weights."""
    L = keras.layers
    tokens = keras.Input((STEPS,), dtype="int32")
    embedding, positions = L.Embedding(vocabulary, WIDTH), L.Embedding(STEPS, WIDTH)
    x = embedding(tokens) + positions(keras.ops.zeros_like(tokens) + keras.ops.arange(STEPS))
    made = [embedding, positions]
    for _ in range(BLOCKS):
        norms = [L.LayerNormalization(epsilon=1e-5) for _ in range(2)]
        attention = L.MultiHeadAttention(HEADS, WIDTH // HEADS)
        hidden, out = L.Dense(4 * WIDTH, "gelu"), L.Dense(WIDTH)
        h = norms[0](x)
        x = x + attention(h, h, use_causal_mask=True)
        x = x + out(hidden(norms[1](x)))
        made += [norms[0], attention, norms[1], hidden, out]
    norm, scores = L.LayerNormalization(epsilon=1e-5), L.Dense(vocabulary)
    model = keras.Model(tokens, scores(norm(x)))
    rest = iter(weights)
    for layer in [*made, norm, scores]:
        layer.set_weights([next(rest) for _ in layer.weights])
    return model


def bits_of(library: Any, model: Any) -> tuple[float, float]:
    """Train, then: bits for each held-out character, and the seconds of training."""
    rate = library.optimizers.schedules.CosineDecay(
        1e-4, options.batches, warmup_target=4e-3, warmup_steps=options.batches // 10
    )
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(library.optimizers.Adam(rate, global_clipnorm=1.0), loss=loss)
    rng, start = np.random.default_rng(0), time.perf_counter()
    for _ in range(options.batches):
        places = rng.integers(0, len(train) - STEPS, BATCH)[:, None] + np.arange(STEPS)
        model.train_on_batch(train[places], train[places + 1])
    seconds = time.perf_counter() - start
    return model.evaluate(windows, following, BATCH, verbose=0) / np.log(2), seconds


def bits_of_pairs() -> float:
    """The same of how often each character followed which one, with one added to each count."""
    counts = np.ones((vocabulary, vocabulary))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    p = counts / counts.sum(1, keepdims=True)
    return float(-np.log2(p[windows, following]).mean())


print(f"{len(train):,} characters to learn from, {windows.size:,} held out, {vocabulary} kinds")
print(f"all alike        {np.log2(vocabulary):.3f} bits a character")
print(f"counts of pairs  {bits_of_pairs():.3f} bits a character")
bp.utils.set_random_seed(0)
model = ours()
weights = model.get_weights()
bits, seconds = bits_of(bp, model)
print(f"backprop         {bits:.3f} bits a character, trained in {seconds:.0f} s")
if options.keras:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    bits, seconds = bits_of(keras, theirs(keras, weights))
    print(f"Keras            {bits:.3f} bits a character, trained in {seconds:.0f} s")
prompt = encode("The statement")
print(decode(model.generate(prompt, STEPS - len(prompt) + 1, temperature=0.7, seed=0)))
