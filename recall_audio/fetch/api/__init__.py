"""Speak to the Recall.ai API: settings, requests, answers and rate limits."""
