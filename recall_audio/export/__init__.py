"""One small writer a format."""
