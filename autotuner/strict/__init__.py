"""Strict reading of data files: YAML in, frozen sections out, or problems that name key, rule and nearest name."""
