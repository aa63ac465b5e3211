"""Whether a request makes sense as a whole; the real APIs answer 400 where it doesn't.

What is checked is what a gateway that adds to a conversation could get wrong: that every call of a
tool is answered, that results have calls, that roles and items are in order, that thoughts come
back as they were, and that no field is made up. `check` raises InvalidRequestError.
"""
