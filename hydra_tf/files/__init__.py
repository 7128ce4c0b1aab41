"""All that is written and read: whole files, on local disks or remote."""

from hydra_tf.files.failures import FULL
from hydra_tf.files.failures import check_writable
from hydra_tf.files.failures import naming
from hydra_tf.files.failures import system_reason
from hydra_tf.files.json_files import as_json
from hydra_tf.files.json_files import read_json
from hydra_tf.files.json_files import write_json
from hydra_tf.files.paths import absolute
from hydra_tf.files.paths import as_path
from hydra_tf.files.paths import directory_size
from hydra_tf.files.paths import exists
from hydra_tf.files.paths import is_dir
from hydra_tf.files.paths import is_file
from hydra_tf.files.paths import is_remote
from hydra_tf.files.paths import local_copy
from hydra_tf.files.paths import located
from hydra_tf.files.paths import lock_file
from hydra_tf.files.paths import remove
from hydra_tf.files.replacing import append_text
from hydra_tf.files.replacing import clear_partial
from hydra_tf.files.replacing import recover_directory
from hydra_tf.files.replacing import replacing_directory
from hydra_tf.files.replacing import replacing_file
from hydra_tf.files.replacing import write_text

__all__ = [
    "FULL",
    "absolute",
    "append_text",
    "as_json",
    "as_path",
    "check_writable",
    "clear_partial",
    "directory_size",
    "exists",
    "is_dir",
    "is_file",
    "is_remote",
    "local_copy",
    "located",
    "lock_file",
    "naming",
    "read_json",
    "recover_directory",
    "remove",
    "replacing_directory",
    "replacing_file",
    "system_reason",
    "write_json",
    "write_text",
]
