"""Who spoke, when, how much and over whom in meetings recorded by Recall.ai bots."""

__version__ = "0.1.0"
