package survey

// AssumeRefs takes the channels and queues that a campaign names to exist, and the
// campaign to have begun: so what was answered can be read although a channel is
// gone, or the window over. Not its schedule: a program that is not to ask
// anybody has none (leave Trigger.Schedule out).
func AssumeRefs(c Campaign) Refs {
	refs := Refs{Started: true, Channels: map[string]Channel{}, Queues: map[string]bool{}}
	assume := func(channels []string) {
		for _, name := range channels {
			refs.Channels[name] = Channel{CanSend: true}
		}
	}
	assume(c.Channels)
	for i := range c.Arms {
		assume(c.Arms[i].Channels)
	}
	for i := range c.Actions {
		refs.Queues[c.Actions[i].Queue] = true
	}
	return refs
}
