"""Use finished recordings: tables, exports, collections, scores, pseudonymised copies."""
