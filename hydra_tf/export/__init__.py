"""What leaves the program: SavedModels ."""

from hydra_tf.export.saved_model import SavedModelInfo
from hydra_tf.export.saved_model import check_replaceable
from hydra_tf.export.saved_model import export_saved_model

__all__ = ["SavedModelInfo", "check_replaceable", "export_saved_model"]
