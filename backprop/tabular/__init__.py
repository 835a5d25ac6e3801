"""Tables of numbers, dates and text, prepared for a network: what `backprop train data.csv` does
first.

`files` makes rows of cells from bytes and `reading` a table of them; `notation` and `dates` read a
cell, and `cells` a column of them; `columns` learns how a column becomes numbers, and `preparation`
puts inputs and target together. Everything that is
learned from the data (means, deviations, medians, which texts a column holds) is learned from the
training rows alone and kept with the model, so that `backprop predict` does the same to new rows.
How cells are written (``1,234`` or ``1.234``) is a property of the file, and found from all of its
rows. What a column is called decides where it goes; its place in the file does not matter.
"""

from backprop.tabular.answers import answers
from backprop.tabular.cells import CellError, read_numbers
from backprop.tabular.columns import Column, Dates, Numbers, Texts
from backprop.tabular.files import TooManyRowsError, listing, plain_lines
from backprop.tabular.preparation import (
    Preprocessing,
    choose_task,
    hold_out,
    learn_array,
    read_target,
)
from backprop.tabular.reading import Table, as_table, is_numbered, read_csv

__all__ = [
    "CellError",
    "Column",
    "Dates",
    "Numbers",
    "Preprocessing",
    "Table",
    "Texts",
    "TooManyRowsError",
    "answers",
    "as_table",
    "choose_task",
    "hold_out",
    "is_numbered",
    "learn_array",
    "listing",
    "plain_lines",
    "read_csv",
    "read_numbers",
    "read_target",
]
