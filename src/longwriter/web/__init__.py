"""The web servers of this project: the door before each of them, free ports, and whether a server answers."""
