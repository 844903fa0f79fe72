"""Running programs that nobody vouches for: four levels by name, each shown to refuse before it is used."""
