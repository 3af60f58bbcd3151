"""What all gates share: expectations as data, their run by Great Expectations, and the verdict."""
