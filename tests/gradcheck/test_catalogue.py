"""Everything that ships is certified, and nothing is forgotten."""

from statistics import median

from backprop import layers, losses
from backprop.gradcheck.catalogue import LAYERS, cases


def test_every_layer_and_loss_has_a_case():
    made = {type(case.make()).__name__ for case in cases()}

    assert made == {*layers.registry.classes, *losses.REGISTRY.classes}
    assert set(LAYERS) <= set(layers.registry.classes)


def test_everything_that_ships_passes_in_eight_forward_passes_a_gradient():
    spent = []
    for case in cases():
        report = case.check()
        assert report, f"{case.name} {case.options}\n{report}"
        spent += [e.evaluations for e in report.entries if not e.name.startswith("all, ")]

    assert median(spent) <= 8
