"""milepost in SkyRL: credit rules and losses under names of its two registries; see docs/how-to/skyrl.md."""
