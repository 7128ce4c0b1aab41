"""Randomised smoothing: predictions and L2 radii that hold with confidence."""

from hydra_tf.smoothing.certification import Certificate
from hydra_tf.smoothing.certification import Certification
from hydra_tf.smoothing.certification import Predictions
from hydra_tf.smoothing.certification import certify
from hydra_tf.smoothing.certification import certify_each
from hydra_tf.smoothing.certification import predict
from hydra_tf.smoothing.quick import QuickCertification
from hydra_tf.smoothing.quick import SmoothedAccuracy
from hydra_tf.smoothing.quick import quick_certify
from hydra_tf.smoothing.statistics import binomial_p_value
from hydra_tf.smoothing.statistics import certified_radius
from hydra_tf.smoothing.statistics import lower_confidence_bound

__all__ = [
    "Certificate",
    "Certification",
    "Predictions",
    "SmoothedAccuracy",
    "QuickCertification",
    "binomial_p_value",
    "certified_radius",
    "certify",
    "certify_each",
    "lower_confidence_bound",
    "predict",
    "quick_certify",
]
