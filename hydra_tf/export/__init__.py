"""What leaves the program: SavedModels and their description."""

from hydra_tf.export.model_card import model_card as model_card
from hydra_tf.export.model_card import write_model_card as write_model_card
from hydra_tf.export.saved_model import SavedModelInfo as SavedModelInfo
from hydra_tf.export.saved_model import export_saved_model as export_saved_model
