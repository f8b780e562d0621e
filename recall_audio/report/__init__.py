"""Render a recording's report as one self-contained page, and a batch's index."""

from recall_audio.report.page import index_row, render_index
from recall_audio.report.recording_page import render
from recall_audio.report.timeline import Assets

__all__ = ["Assets", "index_row", "render", "render_index"]
