"""Small image sets that ship with a package, models of them that are trained once and kept, and PNG files."""
