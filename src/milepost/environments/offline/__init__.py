"""Tasks of Gymnasium: episodes recorded under mixed behaviour, and played to see what a controller is worth."""
