"""The checks of `longwriter doctor`: of the machine, the checkout, and the services that the pipeline uses."""
