"""What is simulated: states of atmosphere, cloud and ground, and the laws they are drawn from."""
