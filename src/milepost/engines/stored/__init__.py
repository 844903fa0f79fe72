"""What is done with stored forests: scoring and curation, tree by tree, into new folders."""
