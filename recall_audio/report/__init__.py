"""A recording's report for people: one self-contained page, a batch's index, the terminal's summary."""

from recall_audio.report.index_page import index_row, render_index
from recall_audio.report.page import Assets
from recall_audio.report.recording_page import render

__all__ = ["Assets", "index_row", "render", "render_index"]
