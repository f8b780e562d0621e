"""The only place that touches codecs and audio files."""
