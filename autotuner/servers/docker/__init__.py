"""Servers in containers: a rank is a small process of ours under the supervisor, which owns one container.

trial ─▶ supervisor ─▶ ``rank`` ─▶ container          ends with its trial, from the outside in
node agent: removes containers whose holder is dead    when all of that was killed at once
"""
