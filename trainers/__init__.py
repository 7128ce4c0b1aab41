"""The binaries."""

# Puts off the import of TensorFlow, see there.
import flags  # noqa: F401
