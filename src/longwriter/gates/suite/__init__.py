"""What all gates use: expectations as data, the run by Great Expectations, and the verdict."""
