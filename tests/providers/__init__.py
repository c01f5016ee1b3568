"""GitHub and GitLab as OAuth servers on this machine, and a visitor who signs in there."""
