"""What learns beside the policy during a run."""
