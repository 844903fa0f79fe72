"""Small image sets that ship with a package, and models of them that are trained once and kept."""
