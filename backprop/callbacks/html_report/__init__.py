"""A run as one page of HTML: `callback` writes it, `page` and `style.css` make it, `charts` and
`network` draw what is on it."""

from backprop.callbacks.html_report.callback import HTMLReport, is_ours

__all__ = ["HTMLReport", "is_ours"]
