"""What layers compute with: masks, counts, learned densities."""

from hydra_tf.ops.counts import kept_count
from hydra_tf.ops.masks import n_of_m_mask
from hydra_tf.ops.masks import topk_mask
from hydra_tf.ops.rates import density_of_rate
from hydra_tf.ops.rates import rate_of_density

__all__ = [
    "density_of_rate",
    "kept_count",
    "n_of_m_mask",
    "rate_of_density",
    "topk_mask",
]
