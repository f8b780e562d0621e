"""Put each part on the mix's clock: start, drift, steps and how sure they are."""
