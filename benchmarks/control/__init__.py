"""What control policies learn, measured."""
