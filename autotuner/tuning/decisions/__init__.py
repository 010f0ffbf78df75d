"""Which trial next, where, and when to stop. Pure: told what happened, decisions say what is to be done."""
