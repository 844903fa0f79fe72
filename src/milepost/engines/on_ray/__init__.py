"""The same work on a cluster of Ray: stored forests scored and curated, traces triaged, rollouts on several actors."""
