"""What written rewards are worth: on probes before training, and by the success of what is trained on them."""
