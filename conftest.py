"""The environment of all tests, those in docstrings too."""

import os

# Tests need no GPU: unless told otherwise they, and what they start, see none.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ["KERAS_BACKEND"] = "tensorflow"
# Tests of stderr would meet TensorFlow's messages.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
