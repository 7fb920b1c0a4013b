package store

import "sync"

// topic is something that callers wait for.
type topic int

const (
	topicEvents   topic = iota // the event log grew
	topicOutbox                // a delivery may be leased
	topicMedia                 // an attachment may be leased
	topicSnooze                // a conversation was snoozed
	topicDocument              // another document is in force
	topicOffers                // an agent was offered something, or an offer is over
	topicErrands               // something follows a commit of routing
	topicSteps                 // a step of a policy ends sooner than those before
	topicSurveys               // a question, or something about a dialogue, is due sooner
	topics
)

// signals wakes those who wait. To wait without missing anything: take the
// channel, look, and only then wait for the channel.
type signals struct {
	mu  sync.Mutex
	chs [topics]chan struct{}
}

func newSignals() *signals {
	s := &signals{}
	for i := range s.chs {
		s.chs[i] = make(chan struct{})
	}
	return s
}

// next is closed when the topic is woken the next time.
func (s *signals) next(t topic) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chs[t]
}

// wake wakes everybody who waits for one of the topics.
func (s *signals) wake(woken ...topic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range woken {
		close(s.chs[t])
		s.chs[t] = make(chan struct{})
	}
}
