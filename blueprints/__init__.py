"""HTTP in, HTTP out. One blueprint for each face; they never import each other."""
