"""Find who speaks when, with leaked voices taken out."""
