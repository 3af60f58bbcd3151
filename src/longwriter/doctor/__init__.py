"""What `longwriter doctor` looks at: the machine, the checkout, and the services that the pipeline uses."""
