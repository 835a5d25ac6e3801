"""What a model tells of itself while it is understood: a step, its curvature, its landscape."""

from __future__ import annotations

from typing import Any

from backprop.inspection import curvature, explaining, landscape
from backprop.inspection.curvature import Curvature
from backprop.inspection.landscape import Landscape
from backprop.inspection.story import Story


class Inspected:
    """What somebody asks who wants to see back-propagation at work. The model is left as it was."""

    def explain(self, x: Any, y: Any, sample_weight: Any = None) -> Story:
        """One training step, told as a story with its numbers.

        Forward, layer by layer: the formula, the shapes, and statistics of what comes out. The
        loss. Backward, from the loss to the first layer: what a layer was given, the gradients of
        its weights, and what it passed back. The update beside the weights, and by how much the
        loss has fallen beside what the gradient had foretold. Of a network with few units the
        matrices themselves are shown.

        Parameters
        ----------
        x, y, sample_weight
            One batch, as `fit` takes it; a few rows read best.

        Returns
        -------
        Story
            ``print(model.explain(x, y))`` tells it in a terminal; a notebook shows it as HTML. Its
            `sections` hold the figures.

        Raises
        ------
        RuntimeError
            Before `compile`.
        ValueError, TypeError
            For data that do not fit.

        Notes
        -----
        It is the step that ``train_on_batch(x, y)`` would take next, dropout and momentum included,
        taken by a copy: the weights, the optimizer, the generators, moving statistics and states
        of this model stay what they are. A model that is not built yet is built for the data. A
        `train_step` that a subclass writes anew is not called.

        Examples
        --------
        >>> import numpy as np
        >>> import backprop as bp
        >>> bp.utils.set_random_seed(0)
        >>> model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1, name="line")])
        >>> model.compile(bp.optimizers.SGD(0.1), "mse")
        >>> story = model.explain(np.array([[1.0, 2.0]]), np.array([[3.0]]))
        >>> print(story)  # doctest: +ELLIPSIS
        One training step of sequential: 1 row, 3 weights, SGD(0.1)
        ...
          (1) line, Dense
              y = activation(x · kernel + bias), over the last axis.
        ...
        >>> [section.title[:11] for section in story.sections]
        ['1. Forward:', '2. The loss', '3. Backward', '4. Update: ', '5. What it ']
        """
        return explaining.explain(self, x, y, sample_weight)

    def hessian_top(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        iterations: int = 100,
        tolerance: float = 1e-3,
        training: bool = False,
        seed: int = 0,
    ) -> Curvature:
        """The largest curvature of the loss of a batch, and the learning rate that it allows.

        λ is the largest eigenvalue of the Hessian of the loss, the sharpness, over all weights that
        are trained. Gradient descent with a rate above 2/λ leaves the valley: along the eigenvector
        each step overshoots by more than it had to go.

        Parameters
        ----------
        x, y, sample_weight
            One batch, as `fit` takes it.
        iterations : int, default 100
            Products with the Hessian at most, each two gradients; twice as many where the slope
            bends down more than it bends up.
        tolerance : float, default 0.001
            Stop when the error is below this share of λ.
        training : bool, default False
            Whether layers behave as in training. What dropout draws is the same all the time.
        seed : int, default 0
            Of the vector to begin with.

        Returns
        -------
        Curvature
            `eigenvalue`, its `error` and whether it has `converged`; `largest_rate` beside the
            `learning_rate` in use.

        Raises
        ------
        RuntimeError
            Before `compile`.
        ValueError, TypeError
            For data and arguments that do not fit, and where a gradient is not finite.

        Notes
        -----
        Power iteration on central differences of the hand-derived gradients, on a copy in float64;
        see Cohen et al. (2021), "Gradient descent on neural networks typically occurs at the edge
        of stability". The weight decay of `SGD` counts as curvature in its limit.

        Examples
        --------
        The mean of (x w - y)² has the curvature 2⟨x²⟩:

        >>> import numpy as np
        >>> import backprop as bp
        >>> model = bp.Sequential([bp.Input((1,)), bp.layers.Dense(1, use_bias=False)])
        >>> model.compile(bp.optimizers.SGD(0.01), "mse")
        >>> model.hessian_top(np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]]))
        λ = 10 ± 0; the largest stable rate of the optimizer is 0.2, the rate in use 0.01
        """
        return curvature.hessian_top(
            self,
            x,
            y,
            sample_weight,
            iterations=iterations,
            tolerance=tolerance,
            training=training,
            seed=seed,
        )

    def loss_landscape(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        dimensions: int = 2,
        points: int = 21,
        span: float = 1.0,
        training: bool = False,
        seed: int = 0,
    ) -> Landscape:
        """The loss of a batch on a line, or a plane, through the weights.

        The directions are random and normalised by filter: each column of a kernel, what leads to
        one unit, is as long as the same column of the weights, so that landscapes of different
        networks can be compared. Biases stay where they are.

        Parameters
        ----------
        x, y, sample_weight
            One batch, as `fit` takes it.
        dimensions : {1, 2}, default 2
            A line or a plane.
        points : int, default 21
            Along each direction.
        span : float, default 1
            How far to go in both ways, in lengths of the weights.
        training : bool, default False
            Whether layers behave as in training. What dropout draws is the same all the time.
        seed : int, default 0
            Of the directions.

        Returns
        -------
        Landscape
            `values` at `a` and `b`, the `loss` at the weights, and ``plot(ax=None)``.

        Raises
        ------
        RuntimeError
            Before `compile`.
        ValueError, TypeError
            For data and arguments that do not fit.

        Notes
        -----
        Li, Xu, Taylor, Studer and Goldstein (2018), "Visualizing the loss landscape of neural
        nets". It is computed in float64, on a copy.

        Examples
        --------
        >>> import numpy as np
        >>> import backprop as bp
        >>> bp.utils.set_random_seed(0)
        >>> model = bp.Sequential([bp.Input((4,)), bp.layers.Dense(3, "tanh"), bp.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(16, 4))
        >>> found = model.loss_landscape(x, x[:, :1], dimensions=1, points=5)
        >>> found.a, found.values.shape, bool(found.values[2] == found.loss)
        (array([-1. , -0.5,  0. ,  0.5,  1. ]), (5,), True)
        """
        return landscape.loss_landscape(
            self,
            x,
            y,
            sample_weight,
            dimensions=dimensions,
            points=points,
            span=span,
            training=training,
            seed=seed,
        )
