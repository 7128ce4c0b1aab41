"""What leaves the program: SavedModels, LiteRT and ONNX files."""

from hydra_tf.export.litert import LiteRTInfo
from hydra_tf.export.litert import export_litert
from hydra_tf.export.litert import litert_function
from hydra_tf.export.saved_model import SavedModelInfo
from hydra_tf.export.saved_model import check_replaceable
from hydra_tf.export.saved_model import export_saved_model

__all__ = [
    "LiteRTInfo",
    "SavedModelInfo",
    "check_replaceable",
    "export_litert",
    "export_saved_model",
    "litert_function",
]
