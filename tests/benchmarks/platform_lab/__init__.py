"""Make meetings as call platforms record them, with the truth, to fit and to measure the speech step."""
