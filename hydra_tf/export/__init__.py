"""What leaves the program: SavedModels, LiteRT and ONNX files, properties."""

from hydra_tf.export.litert import export_litert
from hydra_tf.export.litert import litert_function
from hydra_tf.export.one_file import FileInfo
from hydra_tf.export.onnx_file import export_onnx
from hydra_tf.export.onnx_file import onnx_function
from hydra_tf.export.saved_model import SavedModelInfo
from hydra_tf.export.saved_model import check_replaceable
from hydra_tf.export.saved_model import export_saved_model
from hydra_tf.export.serving import export_serving
from hydra_tf.export.vnnlib import export_vnnlib

__all__ = [
    "FileInfo",
    "SavedModelInfo",
    "check_replaceable",
    "export_litert",
    "export_onnx",
    "export_saved_model",
    "export_serving",
    "export_vnnlib",
    "litert_function",
    "onnx_function",
]
