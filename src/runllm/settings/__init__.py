"""Settings from flags, the environment and files, each knowing where it came from.

`settings.schema.json` says what there is. `load` reads them; nothing here writes the environment.
`runllm.settings.writing` changes a file.
"""

from runllm.settings.configuration import Configuration, Entry, Origin, load, own_layers, trusted_folders
from runllm.settings.layers import check_option, passed_over, unknown_variables
from runllm.settings.schema import SETTINGS, ModelOverrides, Setting, Settings

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
