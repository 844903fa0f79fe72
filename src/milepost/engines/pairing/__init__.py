"""How the runs of a comparison come to the same cost."""
