"""What leaves the program: SavedModels and their description."""

from hydra_tf.export.saved_model import SavedModelInfo as SavedModelInfo
from hydra_tf.export.saved_model import export_saved_model as export_saved_model
