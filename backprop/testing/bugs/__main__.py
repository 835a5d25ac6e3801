"""`python -m backprop.testing.bugs > docs/bugs.md`: the bank as a page."""

import sys

from backprop.testing.bugs.page import page

sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
sys.stdout.write(page())
