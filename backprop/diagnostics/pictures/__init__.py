"""Pictures of training and of what a network has learned, and the numbers that they are drawn from.

look            the colours, Axes and texts that all pictures share
curves          loss and metrics over the epochs
flow            gradients and activations by layer
scores          confusion, ROC, precision-recall and calibration: the numbers
classification  and their pictures
boundary        what a model says of two features
tiles           filters, feature maps, reconstructions: many small images
attribution     saliency and occlusion: which entries of x an output depends on
attention       who looks at whom
projection      many features as two
"""

from backprop.diagnostics.pictures.attention import attention_weights, plot_attention
from backprop.diagnostics.pictures.attribution import (
    occlusion,
    plot_occlusion,
    plot_saliency,
    saliency,
)
from backprop.diagnostics.pictures.boundary import decision_grid, plot_decision_boundary
from backprop.diagnostics.pictures.classification import (
    plot_calibration_curve,
    plot_confusion_matrix,
    plot_precision_recall_curve,
    plot_roc_curve,
)
from backprop.diagnostics.pictures.curves import is_ours, learning_curve, plot_learning_curve
from backprop.diagnostics.pictures.flow import (
    activation_histograms,
    plot_activation_histograms,
    plot_gradient_flow,
)
from backprop.diagnostics.pictures.projection import plot_embedding, principal_components
from backprop.diagnostics.pictures.scores import (
    average_precision_score,
    calibration_curve,
    confusion_matrix,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)
from backprop.diagnostics.pictures.tiles import (
    filters,
    plot_feature_maps,
    plot_filters,
    plot_reconstructions,
)

__all__ = [
    "activation_histograms",
    "attention_weights",
    "average_precision_score",
    "calibration_curve",
    "confusion_matrix",
    "decision_grid",
    "filters",
    "is_ours",
    "learning_curve",
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
