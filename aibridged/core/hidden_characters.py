"""Characters of hostile text that aren't shown as they are."""

HIDDEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff"
)
"""What moves the cursor, turns the direction of text, or can't be seen, for a character class of a
regular expression; line breaks and tabs aren't among them."""
FILLERS = r"\u115f\u1160\u3164\ufe00-\ufe0f\uffa0"
"""What can't be seen either, and belongs to letters and emoji before it."""
