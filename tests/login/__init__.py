"""Sign-in against real OAuth servers in the shapes of GitHub and GitLab."""
