"""`python -m backprop.testing.bugs > docs/bugs.md`: the bank as a page."""

import sys

from backprop.testing.bugs.page import page

if __name__ == "__main__":
    sys.stdout.buffer.write(page().encode())
