"""The configuration: one frozen `Settings`, with all faults reported at once.

`rules` and `web_rules` say what values may be, `server_settings` and `settings` which settings
there are, `tables` and `loading` read them, `reference` writes them down for people.
"""

from tokenferry.config.loading import load, load_data_dir
from tokenferry.config.report import ConfigError, Fault
from tokenferry.config.server_settings import ServerSettings
from tokenferry.config.settings import AliasSettings, ProviderSettings, Settings
from tokenferry.config.web_rules import Secret

__all__ = [
    "AliasSettings",
    "ConfigError",
    "Fault",
    "ProviderSettings",
    "Secret",
    "ServerSettings",
    "Settings",
    "load",
    "load_data_dir",
]
