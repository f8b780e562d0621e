"""A recording's report for people: one self-contained page, a batch's index, the terminal's summary."""

from recall_audio.report.assets import Assets
from recall_audio.report.index import index_row, render_index
from recall_audio.report.meeting import render

__all__ = ["Assets", "index_row", "render", "render_index"]
