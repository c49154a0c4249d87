"""Settings from flags, the environment and files, each knowing where it came from.

`load` reads them; nothing here writes the environment. `runllm.config.writing` changes a file.
"""

from runllm.config.checking import passed_over
from runllm.config.configuration import Configuration, Entry, Origin, load, own_layers, trusted_folders
from runllm.config.layers import check_option, unknown_variables
from runllm.config.settings import SETTINGS, ModelOverrides, Setting, Settings

__all__ = [
    "SETTINGS",
    "Configuration",
    "Entry",
    "ModelOverrides",
    "Origin",
    "Setting",
    "Settings",
    "check_option",
    "load",
    "own_layers",
    "passed_over",
    "trusted_folders",
    "unknown_variables",
]
