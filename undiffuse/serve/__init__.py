"""A model for other programs: requests that share forward passes (`engine`), and HTTP in front of them (`api`)."""
