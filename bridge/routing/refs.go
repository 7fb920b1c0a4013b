package routing

import "github.com/bridgekeeper/bridgekeeper/bridge/schedule"

// Refs are the resources that policies may name, by the names they use.
type Refs struct {
	Schedules map[string]*schedule.Schedule
	Queues    map[string]QueueRef
	Bots      map[string]bool
	Webhooks  map[string]bool
}

// QueueRef is what a policy needs to know of a queue.
type QueueRef struct {
	// Schedule of the queue, empty: none of its own.
	Schedule string `json:"schedule,omitempty"`
}

// AssumeRefs takes everything that a policy names to exist: for trying a policy
// that stands alone. Whether schedules are open is then up to the facts.
func AssumeRefs(policy Policy) Refs {
	refs := Refs{Queues: map[string]QueueRef{}, Bots: map[string]bool{}, Webhooks: map[string]bool{}, Schedules: map[string]*schedule.Schedule{}}
	assume := func(backends []BackendRef) {
		for _, b := range backends {
			switch b.Kind {
			case BackendAgentQueue:
				refs.Queues[b.Name] = QueueRef{}
			case BackendBot:
				refs.Bots[b.Name] = true
			case BackendWebhook:
				refs.Webhooks[b.Name] = true
			}
		}
	}
	for _, rule := range policy.Rules {
		for _, match := range rule.Matches {
			if match.Schedule != nil {
				refs.Schedules[match.Schedule.Name] = nil
			}
		}
		for _, step := range rule.Steps {
			assume(step.BackendRefs)
		}
	}
	if policy.DefaultRoute != nil {
		assume(policy.DefaultRoute.BackendRefs)
	}
	if hours := policy.OutOfHours; hours != nil {
		if hours.Schedule != "" {
			refs.Schedules[hours.Schedule] = nil
		}
		if hours.Bot != "" {
			refs.Bots[hours.Bot] = true
		}
	}
	return refs
}

func (r Refs) has(kind BackendKind, name string) bool {
	switch kind {
	case BackendAgentQueue:
		_, ok := r.Queues[name]
		return ok
	case BackendBot:
		return r.Bots[name]
	case BackendWebhook:
		return r.Webhooks[name]
	}
	return false
}
