"""Who spoke, in which order? A network reads a signal in which speakers follow one another without
a pause, and CTC trains it without being told where one ends and the next begins.

    python docs/examples/speech_ctc.py

Nine men said /ae/, 30 times each to learn from and 370 times altogether for the test: 7 to 29 steps
of 12 cepstral coefficients. These are the Japanese vowels of M. Kudo, J. Toyama and M. Shimbo
(1999, CC BY 4.0). They come in the wheel of aeon (``pip install aeon``), of which only two text
files are read. One to six utterances are put together to a signal, and those of the test only to
signals of the test. The same man may speak twice in a row, which is two labels.

It prints the label error rate: how many labels have to be inserted, dropped or replaced to make
what was decoded right, in percent of the labels. The baseline has the same loss and no memory: a
network that sees one step at a time. It takes half a minute.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

import backprop as bp

CHANNELS, SPEAKERS, EPOCHS = 12, 9, 12


def utterances(part):
    """[(steps, channels), ...] and who spoke, from the text file "TRAIN" or "TEST" in aeon."""
    package = importlib.util.find_spec("aeon")  # found, not imported
    if package is None or package.origin is None:
        sys.exit("the data come with aeon: pip install aeon")
    folder = Path(package.origin).parent / "datasets" / "data" / "JapaneseVowels"
    text = (folder / f"JapaneseVowels_{part}.ts").read_text(encoding="utf-8")
    signals, speakers = [], []
    for line in text[text.index("@data") :].splitlines()[1:]:
        *channels, speaker = line.split(":")
        signals.append(np.array([channel.split(",") for channel in channels], np.float32).T)
        speakers.append(int(speaker))
    return signals, np.array(speakers)


def conversations(signals, speakers, rounds, rng):
    """Each utterance once a round, 1 to 6 of them one after the other: padded with zeros behind."""
    said, labels = [], []
    for _ in range(rounds):
        order = rng.permutation(len(signals))
        while len(order):
            now, order = np.split(order, [rng.integers(1, 7)])
            said.append(np.concatenate([signals[i] for i in now]))
            labels.append(speakers[now])
    pad = bp.utils.pad_sequences
    return (
        pad(said, dtype="float32", padding="post"),
        pad(labels, padding="post"),
        np.array([len(signal) for signal in said]),
    )


def edits(a, b):
    """The fewest insertions, deletions and replacements that make b of a."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def error_rate(model, x, y, lengths, strategy):
    logits = model.predict(x, batch_size=64, verbose=0)
    found = bp.utils.ctc_decode(logits, lengths, strategy, beam_width=20)[0][0]
    wrong = sum(edits(f[f > 0], labels[labels > 0]) for f, labels in zip(found, y, strict=True))
    return 100 * wrong / np.count_nonzero(y)


def trained(hidden, train):
    """Logits for each step, of the blank and the speakers; padding is masked all the way."""
    bp.utils.set_random_seed(0)
    model = bp.Sequential(
        [
            bp.Input((None, CHANNELS)),
            bp.layers.Masking(),
            *hidden,
            bp.layers.Dense(1 + SPEAKERS),
        ]
    )
    model.compile(bp.optimizers.Adam(0.005, global_clipnorm=1.0), bp.losses.CTC())
    model.fit(*train, batch_size=32, epochs=EPOCHS, verbose=0)
    return model


rng = np.random.default_rng(0)
signals, speakers = utterances("TRAIN")
mean, std = np.concatenate(signals).mean(0), np.concatenate(signals).std(0)
x, y, _ = conversations([(s - mean) / std for s in signals], speakers, 16, rng)
signals, speakers = utterances("TEST")
test = conversations([(s - mean) / std for s in signals], speakers, 4, rng)
print(f"{len(x)} signals to learn from, {len(test[0])} for the test, of up to {x.shape[1]} steps")

memory = trained(
    [bp.layers.Bidirectional(bp.layers.LSTM(48, return_sequences=True)), bp.layers.Dropout(0.3)],
    (x, y),
)
steps = trained([bp.layers.Dense(96, "relu"), bp.layers.Dropout(0.3)], (x, y))
for name, model in {"bidirectional LSTM": memory, "one step at a time": steps}.items():
    for strategy in ("greedy", "beam_search"):
        rate = error_rate(model, *test, strategy)
        print(f"label error rate, {name}, {strategy + ':':12} {rate:5.1f} %")
