package main

// Flux looks at them in this order, after it has compared observedGeneration
// with the generation itself, and takes an object to be in progress when none
// holds. A status without conditions is one that only has its default.
const (
	inProgress = `has(metadata.deletionTimestamp) || !has(status.conditions) || status.conditions.exists(c, c.type == 'Reconciling' && c.status == 'True')`
	failed     = `status.conditions.exists(c, c.type == 'Stalled' && c.status == 'True')`
	current    = `status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')`
)
