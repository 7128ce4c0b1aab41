"""Set-up shared by all tests."""

from __future__ import annotations

import tensorflow as tf

# Two logical devices let MirroredStrategy run two replicas; the number can
# only be set before TensorFlow starts.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
