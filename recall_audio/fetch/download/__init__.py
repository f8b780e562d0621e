"""Download files by signed URLs, resuming where a transfer broke off."""
