"""Documents as sparse rows of word counts: they are multiplied sparse, and never filled in.

    python docs/examples/sparse_words.py

The documents are made up: 20,000 words whose frequencies fall as 1 / rank, five topics that each
prefer some of them. It prints the share of the matrix that is stored and the accuracy on documents
that were not trained with.
"""

import numpy as np
from scipy.sparse import csr_array

import backprop as bp

WORDS, TOPICS, DOCUMENTS, LENGTH = 20_000, 5, 1_500, 80


def documents(count: int, rng: np.random.Generator, frequency) -> tuple[csr_array, np.ndarray]:
    """Word counts (count, WORDS), and the topic of each document."""
    topic = rng.integers(0, TOPICS, count)
    words = np.concatenate([rng.choice(WORDS, LENGTH, p=frequency[k]) for k in topic])
    row = np.repeat(np.arange(count), LENGTH)
    # log(1 + count) is small where a word is common, and 0 stays 0
    counts = csr_array((np.ones(len(words), np.float32), (row, words)), shape=(count, WORDS))
    counts.sum_duplicates()
    return counts.log1p(), topic


bp.utils.set_random_seed(0)
rng = np.random.default_rng(0)
base = 1 / np.arange(1, WORDS + 1)
taste = np.exp(1.0 * rng.standard_normal((TOPICS, WORDS)))  # how much more a topic uses a word
frequency = base * taste
frequency /= frequency.sum(1, keepdims=True)
x, y = documents(DOCUMENTS, rng, frequency)
x_test, y_test = documents(500, rng, frequency)

model = bp.Sequential(
    [
        bp.Input((WORDS,)),
        bp.layers.Dense(32, activation="relu"),
        bp.layers.Dropout(0.5),
        bp.layers.Dense(TOPICS, activation="softmax"),
    ]
)
model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=4, verbose=0)

stored = x.nnz / (x.shape[0] * x.shape[1])
accuracy = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
print(f"{100 * stored:.2f} % of the matrix is stored, test accuracy {accuracy:.4f}")
