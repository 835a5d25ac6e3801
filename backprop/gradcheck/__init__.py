"""Gradients certified by finite differences that bound their own error."""

from backprop.gradcheck.engine import gradcheck
from backprop.gradcheck.report import Entry, Report

__all__ = ["Entry", "Report", "gradcheck"]
