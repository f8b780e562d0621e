"""Exchange HTTP requests: sessions, URLs, limits and retries."""
