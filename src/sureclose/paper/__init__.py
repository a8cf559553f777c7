"""The paper exchange: a local stand-in for Binance USD-M futures, built from the published protocol alone.

It shares no code with the rest of the project, so that one side can't hide the other's mistake.
"""

from sureclose.paper.server import PaperExchange
from sureclose.paper.settings import PaperSettings, SeedPosition, SettingsError

__all__ = ["PaperExchange", "PaperSettings", "SeedPosition", "SettingsError"]
