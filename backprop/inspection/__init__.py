"""Engines that look into a model: a step told as a story, its curvature, the landscape of its loss.

Users meet them as methods of a model, `model.explain`, `model.hessian_top` and
`model.loss_landscape`. All of them work on a copy: the model is left as it was.
"""

from backprop.inspection.curvature import Curvature, hessian_top
from backprop.inspection.explaining import explain
from backprop.inspection.landscape import Landscape, loss_landscape
from backprop.inspection.story import Story

__all__ = ["Curvature", "Landscape", "Story", "explain", "hessian_top", "loss_landscape"]
