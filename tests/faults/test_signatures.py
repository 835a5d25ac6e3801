"""A signed file is taken to the last bit, or not at all."""

import copy
import hashlib
import hmac
import json
import pickle
import zipfile

import numpy as np
import pytest

import backprop as bp
from backprop import cli, run_state, signing
from backprop.archive import ModelFileError
from backprop.saving import SigningKey, sign, verify

SECRET = "c0ffee" * 11
KEY, OTHER = SigningKey(SECRET.encode()), SigningKey(b"0123456789abcdef")
WEIGHTS = (".weights.h5", "weights.npz")
FORMATS = (".npz", ".keras", *WEIGHTS, "checkpoint.npz", "state.npz", "space.npz")


def small():
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])
    model.compile("adam", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    return model


def space():
    made = bp.utils.FeatureSpace({"size": "float_normalized"})
    made.adapt({"size": [1.0, 2.0]})
    return made


def written(folder, form, key=KEY):
    """A file of a format, and what reads it with a key."""
    path = folder / f"file{form if form.startswith('.') else '-' + form}"
    model = small()
    if form == "space.npz":
        space().save(path, key=key)
        return path, lambda key: bp.utils.FeatureSpace.load(path, key=key)
    if form == "checkpoint.npz":
        run_state.save_checkpoint(model, path, 1, 0, key=key)
        return path, lambda key: run_state.load_checkpoint(small(), path, key=key)
    if form == "state.npz":
        model.trainer.save_state(path, key=key)
        return path, lambda key: small().trainer.restore_state(path, key=key)
    if "weights" in form:
        model.save_weights(path, key=key)
        return path, lambda key: small().load_weights(path, key=key)
    bp.models.save_model(model, path, key=key)
    return path, lambda key: bp.models.load_model(path, key=key)


@pytest.fixture(params=FORMATS)
def form(request):
    if request.param in (".keras", ".weights.h5"):
        pytest.importorskip("h5py")
    return request.param


def test_what_was_signed_is_read_with_the_key_and_without_one(form, tmp_path):
    path, read = written(tmp_path, form)

    for key in (KEY, None):
        read(key)
    verify(path, KEY)
    assert path.read_bytes()[-64:].decode() == signature_of(path)


def signature_of(path):
    """The signature as the standard library has it, without our reader."""
    return hmac.new(SECRET.encode(), path.read_bytes()[:-64], hashlib.sha256).hexdigest()


def test_what_is_not_signed_with_the_key_is_refused(form, tmp_path):
    path, read = written(tmp_path, form)
    with pytest.raises(ModelFileError, match=rf"{path.name}.*signature is not that of the key"):
        read(OTHER)
    with pytest.raises(ModelFileError, match="signature is not that of the key"):
        verify(path, OTHER)

    path, read = written(tmp_path, form, key=None)
    with pytest.raises(ModelFileError, match=rf"{path.name}.*is not signed"):
        read(KEY)
    with pytest.raises(ModelFileError, match="is not signed"):
        verify(path, KEY)


def test_every_byte_is_signed(form, tmp_path):
    path, _ = written(tmp_path, form)
    good = path.read_bytes()

    places = {*range(0, len(good), 97), *range(len(good) - 120, len(good)), *range(40)}
    for i in sorted(places):
        path.write_bytes(good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :])
        with pytest.raises(ModelFileError):
            verify(path, KEY)
    for damaged in (good[:-1], good + b"\n", good + good[-85:], good[1:], b"", good[-85:]):
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError):
            verify(path, KEY)


def test_a_signature_does_not_serve_another_file(tmp_path):
    path, _ = written(tmp_path, ".npz")
    signature = path.read_bytes()[-85:]
    model = small()
    model.set_weights([w + 1 for w in model.get_weights()])
    model.save(path, key=OTHER)
    path.write_bytes(path.read_bytes()[:-85] + signature)

    with pytest.raises(ModelFileError, match="signature is not that of the key"):
        bp.models.load_model(path, key=KEY)


def test_a_file_is_signed_later_and_anew(form, tmp_path):
    path, read = written(tmp_path, form, key=None)
    plain = path.read_bytes()

    sign(path, OTHER)
    sign(path, KEY)

    read(KEY)
    assert len(path.read_bytes()) == len(plain) + 85
    assert signing.unsigned(path.read_bytes()) == plain


def test_other_libraries_open_a_signed_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    for form in (".npz", ".keras", ".weights.h5"):
        written(tmp_path, form)
    kernel = small().get_weights()[0]

    with np.load(tmp_path / "file.npz") as file:
        np.testing.assert_array_equal(file["weights/0/dense/kernel"], kernel)
    with h5py.File(tmp_path / "file.weights.h5") as file:
        np.testing.assert_array_equal(file["layers/dense/vars/0"], kernel)
    with zipfile.ZipFile(tmp_path / "file.keras") as file:
        assert file.testzip() is None


def test_a_file_that_changes_while_it_is_read_is_read_as_it_was_verified(tmp_path, monkeypatch):
    _, read = written(tmp_path, ".npz")
    found = signing.contents_of

    def replaced_at_once(path, key):
        contents = found(path, key)
        path.write_bytes(b"another")
        return contents

    monkeypatch.setattr(signing, "contents_of", replaced_at_once)
    np.testing.assert_array_equal(read(KEY).get_weights()[0], small().get_weights()[0])


def test_a_backup_is_signed_and_another_is_not_gone_on_from(tmp_path):
    class Stop(bp.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise InterruptedError

    def run(*callbacks, key=KEY):
        backup = bp.callbacks.BackupAndRestore(tmp_path / "run", key=key)
        model = small()
        return model.fit(
            np.ones((4, 3)), np.ones((4, 2)), epochs=3, verbose=0, callbacks=[backup, *callbacks]
        )

    with pytest.raises(InterruptedError):
        run(Stop())
    verify(tmp_path / "run/latest.npz", KEY)
    with pytest.raises(ModelFileError, match="signature is not that of the key"):
        run(key=OTHER)
    assert len(run().epoch) == 3


def test_a_key_shows_itself_nowhere(tmp_path, capsys):
    (tmp_path / "key").write_text(SECRET)
    path, read = written(tmp_path, ".npz")
    shown = [repr(KEY), str(KEY), f"{KEY}", repr(bp.callbacks.BackupAndRestore("x", key=KEY))]
    for wrong in (lambda: read(OTHER), lambda: SigningKey(SECRET), lambda: read(SECRET)):
        with pytest.raises((ModelFileError, TypeError)) as caught:
            wrong()
        shown.append(str(caught.value))
    with pytest.raises(TypeError) as caught:
        pickle.dumps(KEY)
    cli.main(["verify", str(path), "--key", SECRET])
    cli.main(["verify", str(path), "--key", str(tmp_path / "key")])
    config = json.dumps(bp.callbacks.BackupAndRestore("x", key=KEY).get_config())

    text = " ".join([*shown, str(caught.value), *capsys.readouterr(), config])
    assert SECRET not in text
    assert SECRET.encode() not in path.read_bytes()
    assert copy.deepcopy(KEY) is KEY


def test_a_key_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    _, read = written(tmp_path, ".npz")
    for end in ("", "\n", "\r\n"):
        (tmp_path / "key").write_bytes((SECRET + end).encode())
        read(SigningKey.from_file(tmp_path / "key"))
    monkeypatch.setenv("BACKPROP_KEY", SECRET)
    monkeypatch.setenv("ANOTHER", SECRET[:-1])

    read(SigningKey.from_environment())
    with pytest.raises(ModelFileError):
        read(SigningKey.from_environment("ANOTHER"))
    monkeypatch.delenv("BACKPROP_KEY")
    with pytest.raises(ValueError, match="no variable 'BACKPROP_KEY'"):
        SigningKey.from_environment()
    for secret in (b"", b"x" * 15, b"x" * 5000):
        (tmp_path / "key").write_bytes(secret)
        with pytest.raises(ValueError, match=r"key' holds no key.*from 16 to 4,096 bytes"):
            SigningKey.from_file(tmp_path / "key")


def test_what_is_no_model_is_not_signed(tmp_path):
    for contents in (b"", b"a,b\n1,2\n", b"PK\x03\x04"):
        path = tmp_path / "data.csv"
        path.write_bytes(contents)
        with pytest.raises(ModelFileError, match=r"data\.csv"):
            sign(path, KEY)
        assert path.read_bytes() == contents
    for use in (sign, verify):
        with pytest.raises(TypeError, match="key expects a SigningKey"):
            use(path, None)


def test_weights_in_several_files_are_refused_with_a_key(tmp_path):
    pytest.importorskip("h5py")
    path = tmp_path / "m.weights.json"
    path.write_text(json.dumps({"weight_map": {"/": ["a.weights.h5"]}}))

    with pytest.raises(ModelFileError, match=r"m\.weights\.json.*several files are not signed"):
        small().load_weights(path, key=KEY)


def test_the_command_line_signs_and_verifies(tmp_path, monkeypatch, capsys):
    path, read = written(tmp_path, ".npz", key=None)
    (tmp_path / "key").write_text(SECRET)
    monkeypatch.setenv("MINE", SECRET)

    assert cli.main(["verify", str(path), "--key", "env:MINE"]) == 1
    assert "is not signed" in capsys.readouterr().err
    assert cli.main(["summary", str(path), "--key", "env:MINE"]) == 2
    assert "is not signed" in capsys.readouterr().err
    assert cli.main(["sign", str(path), "--key", str(tmp_path / "key")]) == 0
    assert cli.main(["verify", str(path), "--key", "env:MINE"]) == 0
    assert cli.main(["summary", str(path), "--key", "env:MINE"]) == 0
    read(KEY)
    capsys.readouterr()
    for wrong in ("env:NONE", "nowhere", str(tmp_path)):
        assert cli.main(["verify", str(path), "--key", wrong]) == 2
        assert "--key" in capsys.readouterr().err


def test_the_command_line_signs_what_it_trains(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINE", SECRET)
    data, model = tmp_path / "t.csv", str(tmp_path / "t.npz")
    data.write_text("a,b\n" + "".join(f"{i},{2 * i}.5\n" for i in range(40)))
    options = ["--target", "b", "--epochs", "1", "--output", model, "--quiet", "--key", "env:MINE"]

    assert cli.main(["train", str(data), *options]) == 0
    verify(model, KEY)
    assert cli.main(["predict", model, str(data), "--key", "env:MINE"]) == 0
    assert cli.main(["predict", model, str(data)]) == 0
