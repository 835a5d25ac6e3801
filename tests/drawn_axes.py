"""What can be read off the Axes of a picture."""

import numpy as np


def legend_of(ax):
    """The texts of the legend."""
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def ticks_of(axis):
    """The names along an axis."""
    return [label.get_text() for label in axis.get_ticklabels()]


def numbers_of(image):
    """What an image shows; NaN where it shows nothing."""
    return np.ma.filled(np.ma.asarray(image.get_array()).astype(float), np.nan)


def outside(figure):
    """What of a figure lies outside of it."""
    figure.draw_without_rendering()
    frame = figure.bbox.padded(1)
    boxes = {ax: ax.get_tightbbox() for ax in figure.axes}
    return [
        (ax, box)
        for ax, box in boxes.items()
        if box.x0 < frame.x0 or box.y0 < frame.y0 or box.x1 > frame.x1 or box.y1 > frame.y1
    ]
