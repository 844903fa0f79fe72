"""Views of stored runs and forests: one self-contained HTML file, and lines for a terminal."""
