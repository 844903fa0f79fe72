"""Controllers learned from stored moves alone: filtered cloning, and the offline algorithms of d3rlpy."""
