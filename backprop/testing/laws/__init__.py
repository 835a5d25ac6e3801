"""What holds for every layer, one function a law.

A law takes a `Case` and returns if it holds for it, else raises `Broken` with what was seen. The
first line of its docstring states the law, the rest says which mistake it catches. `docs/laws.md`
has a section on each.

    gradients   the derivative of forward, linear in dy, set and repeatable
    values      float32 and float64, a naive reference, extreme numbers
    shapes      what was declared, any number of rows, clear errors
    memory      whose array is whose, nothing left of a call, layout
    rows        samples do not meet
    state       seeds, modes, and what training does to buffers
    copies      files, a model's vectors, replicas
    several     several inputs and outputs, and what is added to the loss
    training    what training runs in the place of forward and backward
    calls       two threads, and many calls
    exceptions  special numbers, and every size

Values are compared in float64, and up to a billionth of the largest number, unless a law says
otherwise: two orders of one sum differ by much less, a mistake by much more.
"""

from __future__ import annotations

from backprop.testing.laws.calls import (
    nothing_is_remembered,
    the_fortieth_call_is_like_the_first,
    two_threads_do_not_meet,
)
from backprop.testing.laws.copies import (
    a_replica_shares_values_and_owns_gradients,
    parameters_stay_views,
    survives_copy_pickle_config_and_save,
)
from backprop.testing.laws.exceptions import (
    no_number_is_an_exception,
    no_size_is_an_exception,
)
from backprop.testing.laws.gradients import (
    backward_is_linear_in_dy,
    backward_sets_and_can_be_repeated,
    gradients_match_finite_differences,
    params_only_backward_agrees,
    slopes_at_kinks_are_subgradients,
)
from backprop.testing.laws.law import Law, needs, why_not
from backprop.testing.laws.memory import (
    inputs_are_untouched,
    kept_results_never_change,
    memory_layout_does_not_matter,
    two_forwards_do_not_interfere,
    uninitialised_memory_is_never_read,
)
from backprop.testing.laws.rows import rows_are_independent
from backprop.testing.laws.several import (
    an_addition_to_the_loss_is_asked_for,
    an_input_used_twice_gets_the_sum,
    every_input_counts,
    outputs_pass_back_what_is_theirs,
    the_order_of_inputs_counts,
)
from backprop.testing.laws.shapes import (
    a_batch_of_one_and_of_none_works,
    a_wrong_rank_or_width_raises_a_clear_error,
    shape_and_dtype_are_as_declared,
)
from backprop.testing.laws.state import (
    inference_is_deterministic,
    moving_a_buffer_changes_no_gradient,
    only_training_moves_buffers,
    same_seed_same_result,
    training_moves_buffers_alike,
)
from backprop.testing.laws.training import (
    a_frozen_layer_is_frozen_throughout,
    a_frozen_layer_passes_gradients_on,
    short_ways_agree,
    what_weighs_nothing_does_not_count,
)
from backprop.testing.laws.values import (
    agrees_with_the_reference,
    extreme_input_gives_finite_results,
    float32_agrees_with_float64,
)

__all__ = ["V1", "V2", "V3", "V4", "Law", "needs", "why_not"]

V1: tuple[Law, ...] = (
    gradients_match_finite_differences,
    slopes_at_kinks_are_subgradients,
    float32_agrees_with_float64,
    agrees_with_the_reference,
    shape_and_dtype_are_as_declared,
    a_batch_of_one_and_of_none_works,
    extreme_input_gives_finite_results,
    a_wrong_rank_or_width_raises_a_clear_error,
    backward_is_linear_in_dy,
    backward_sets_and_can_be_repeated,
    params_only_backward_agrees,
    inputs_are_untouched,
    kept_results_never_change,
    two_forwards_do_not_interfere,
    uninitialised_memory_is_never_read,
    memory_layout_does_not_matter,
    rows_are_independent,
    inference_is_deterministic,
    same_seed_same_result,
    only_training_moves_buffers,
    training_moves_buffers_alike,
    moving_a_buffer_changes_no_gradient,
    survives_copy_pickle_config_and_save,
    parameters_stay_views,
    a_replica_shares_values_and_owns_gradients,
)

V2: tuple[Law, ...] = (
    *V1,
    every_input_counts,
    the_order_of_inputs_counts,
    an_input_used_twice_gets_the_sum,
    outputs_pass_back_what_is_theirs,
    an_addition_to_the_loss_is_asked_for,
)

V3: tuple[Law, ...] = (
    *V2,
    short_ways_agree,
    what_weighs_nothing_does_not_count,
    a_frozen_layer_passes_gradients_on,
    two_threads_do_not_meet,
    the_fortieth_call_is_like_the_first,
)

V4: tuple[Law, ...] = (
    *V3,
    no_number_is_an_exception,
    no_size_is_an_exception,
    nothing_is_remembered,
    a_frozen_layer_is_frozen_throughout,
)
