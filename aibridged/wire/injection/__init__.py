"""Tools that the gateway offers to the model beside the client's own, and the talk about them.

A `Candidate` puts them into a request. A `Dialogue` then reads each answer to it: it says which
tools the model wants, makes the request that tells it their results, and shows the client one
answer out of all turns, in which those calls don't occur.
"""
