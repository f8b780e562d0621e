"""Batches in a lab of their own, as the tests of batches have them."""

from batch.conftest import lab, tiny_meetings

__all__ = ["lab", "tiny_meetings"]
