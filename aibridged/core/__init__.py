"""Pure decision logic without I/O: values and a time go in, a decision comes out."""
