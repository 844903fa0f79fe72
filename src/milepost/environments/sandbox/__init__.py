"""Tools over a database, and a user who wants something: tau2's service desks and AgentDojo's suites."""
