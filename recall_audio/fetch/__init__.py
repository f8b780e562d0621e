"""The API and the media it names, from a bot's id to files on disk."""
