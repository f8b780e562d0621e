"""Write the stems of one recording: render, level, encode and check."""
