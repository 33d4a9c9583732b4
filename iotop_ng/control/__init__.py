"""Join frames, policies and the keeper: the part of the session that acts."""
