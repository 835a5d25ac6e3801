"""What a network does and has learned: its steps, the shape of its loss, and pictures.

Pictures need ``backprop[plot]``; the numbers behind them do not. What watches a training are
callbacks: `callbacks.GradientFlow`, `ActivationStatistics`, `LearningRateFinder`, `HTMLReport`.
"""

from backprop.diagnostics.pictures import (
    activation_histograms,
    attention_weights,
    average_precision_score,
    calibration_curve,
    confusion_matrix,
    decision_grid,
    filters,
    is_ours,
    learning_curve,
    occlusion,
    plot_activation_histograms,
    plot_attention,
    plot_calibration_curve,
    plot_confusion_matrix,
    plot_decision_boundary,
    plot_embedding,
    plot_feature_maps,
    plot_filters,
    plot_gradient_flow,
    plot_learning_curve,
    plot_occlusion,
    plot_precision_recall_curve,
    plot_reconstructions,
    plot_roc_curve,
    plot_saliency,
    precision_recall_curve,
    principal_components,
    roc_auc_score,
    roc_curve,
    saliency,
)
from backprop.inspection import (
    Curvature,
    Landscape,
    Story,
    explain,
    hessian_top,
    loss_landscape,
)

__all__ = [
    "Curvature",
    "Landscape",
    "Story",
    "activation_histograms",
    "attention_weights",
    "average_precision_score",
    "calibration_curve",
    "confusion_matrix",
    "decision_grid",
    "explain",
    "filters",
    "hessian_top",
    "is_ours",
    "learning_curve",
    "loss_landscape",
    "occlusion",
    "plot_activation_histograms",
    "plot_attention",
    "plot_calibration_curve",
    "plot_confusion_matrix",
    "plot_decision_boundary",
    "plot_embedding",
    "plot_feature_maps",
    "plot_filters",
    "plot_gradient_flow",
    "plot_learning_curve",
    "plot_occlusion",
    "plot_precision_recall_curve",
    "plot_reconstructions",
    "plot_roc_curve",
    "plot_saliency",
    "precision_recall_curve",
    "principal_components",
    "roc_auc_score",
    "roc_curve",
    "saliency",
]


def __dir__() -> list[str]:
    return sorted(__all__)
