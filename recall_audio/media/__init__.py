"""Read and write audio files; no other room uses codecs."""
