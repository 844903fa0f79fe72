"""OpenTelemetry spans of generative models."""
