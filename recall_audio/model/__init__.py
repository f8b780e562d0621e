"""The values that the layers hand to each other: frozen, documented, without behaviour of their own."""
