"""Measuring what a network withstands: attacks, bounds, smoothing."""

from hydra_tf.evaluation.artifacts import ArtifactEvaluation
from hydra_tf.evaluation.artifacts import ArtifactFigures
from hydra_tf.evaluation.artifacts import Latency
from hydra_tf.evaluation.artifacts import latency
from hydra_tf.evaluation.balanced import balanced_accuracy
from hydra_tf.evaluation.certificates import Certificates
from hydra_tf.evaluation.certify import certify
from hydra_tf.evaluation.certify import table_of
from hydra_tf.evaluation.curves import security_curve
from hydra_tf.evaluation.evaluate import evaluate
from hydra_tf.evaluation.intervals import wilson_interval
from hydra_tf.evaluation.network import as_exported
from hydra_tf.evaluation.prover import BoundProver
from hydra_tf.evaluation.result import Evaluation
from hydra_tf.evaluation.sanity import Sanity
from hydra_tf.evaluation.sanity import sanity
from hydra_tf.evaluation.sanity_checks import Check
from hydra_tf.evaluation.settings import CertificationSettings
from hydra_tf.evaluation.settings import EvaluationSettings
from hydra_tf.evaluation.settings import SmoothingSettings

__all__ = [
    "ArtifactEvaluation",
    "ArtifactFigures",
    "BoundProver",
    "Certificates",
    "CertificationSettings",
    "Check",
    "Evaluation",
    "EvaluationSettings",
    "Latency",
    "Sanity",
    "SmoothingSettings",
    "as_exported",
    "balanced_accuracy",
    "certify",
    "evaluate",
    "latency",
    "sanity",
    "security_curve",
    "table_of",
    "wilson_interval",
]
