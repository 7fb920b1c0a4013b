package control

import (
	"context"
	"sync"
)

// Changes tells waiters that something under a lock has changed. Make one with
// NewChanges.
type Changes struct {
	mu      *sync.Mutex
	changed chan struct{} // closed and replaced on every change
}

// NewChanges is for what mu guards.
func NewChanges(mu *sync.Mutex) *Changes { return &Changes{mu: mu, changed: make(chan struct{})} }

// Notify wakes everybody in Wait. The caller holds the lock.
func (c *Changes) Notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Wait blocks until cond, called with the lock held, is true, or ctx is over, or
// done is (then it is context.Canceled).
func (c *Changes) Wait(ctx, done context.Context, cond func() bool) error {
	for {
		c.mu.Lock()
		ok, changed := cond(), c.changed
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-done.Done():
			return context.Canceled
		}
	}
}
