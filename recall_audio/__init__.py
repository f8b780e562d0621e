"""Measure who spoke, when, how much and over whom in meetings recorded by Recall.ai bots.

Every public name is imported from here: ``__init__.pyi`` lists them, and each is loaded at its first use.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
