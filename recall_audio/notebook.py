"""A recording's results as researchers use them: tables, arrays, plots."""
