"""Replay: recorded measurements in place of servers, in virtual time."""
