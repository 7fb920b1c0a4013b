package store

import "sync"

// bells wake those who wait for deliveries of a Bridge. A ring wakes one of
// them, as one is enough for one delivery; whoever leaves rings for the next,
// so that no ring and no knowledge of a timer is lost.
type bells struct {
	mu      sync.Mutex
	waiting map[string][]*waiter // by Bridge
}

// waiter is one call that waits. rung has room for one ring: more say no more.
type waiter struct{ rung chan struct{} }

func newBells() *bells { return &bells{waiting: map[string][]*waiter{}} }

// join begins to wait; leave must follow. Look only after joining.
func (b *bells) join(bridge string) *waiter {
	w := &waiter{rung: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting[bridge] = append(b.waiting[bridge], w)
	return w
}

func (b *bells) leave(bridge string, w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.waiting[bridge]
	for i := range list {
		if list[i] == w {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(b.waiting, bridge)
		return
	}
	b.waiting[bridge] = list
	ringOne(list)
}

// ring wakes one who waits for this Bridge and was not rung yet.
func (b *bells) ring(bridge string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ringOne(b.waiting[bridge])
}

// ringAll wakes everybody.
func (b *bells) ringAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, list := range b.waiting {
		for range list {
			ringOne(list)
		}
	}
}

func ringOne(list []*waiter) {
	for _, w := range list {
		select {
		case w.rung <- struct{}{}:
			return
		default:
		}
	}
}
