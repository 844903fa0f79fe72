"""What draws images in a run, and what scores them: the models of the digits, and pipelines from a folder."""
