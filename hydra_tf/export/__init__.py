"""What leaves the program: SavedModels ."""

from hydra_tf.export.saved_model import SavedModelInfo
from hydra_tf.export.saved_model import export_saved_model

__all__ = ["SavedModelInfo", "export_saved_model"]
