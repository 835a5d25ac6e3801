"""Laws for what is no layer: `functions` of one array (regularizers and constraints),
`initializers`, `metrics`, `optimizers`, and mistakes planted in them (`bugs`). `trial` runs them.
"""

# shapes, for what takes no others
MATRICES = ((2, 3), (1, 1), (4, 2), (3, 3), (1, 4), (5, 3), (5, 1))
