"""Read and write audio files. No other room uses codecs."""
