"""What models cost: the table of public prices, and the rate cards that are made of it."""
