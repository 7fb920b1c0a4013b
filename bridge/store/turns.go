package store

import "sync"

// Several writers of one process share the jobs that come. One whose locks
// another writer holds would open a transaction for itself and wait in it; it is
// postponed instead, and goes with all that comes meanwhile:
//
//	writer 1   │ outbox of a, b ─────────── COMMIT │ all that waited: a, b, a …
//	writer 2   │ inbox of c ── COMMIT │
//	postponed        a      b      a               ▲
//
// Who is postponed is passed by nobody who would keep it waiting: what wants a
// lock of it is postponed behind it. Between processes the database's locks
// decide, as ever; this only keeps writers of one from opening transactions to
// wait in.

// turns says who of a process goes next. Its methods are the scribes'.
type turns struct {
	again chan struct{} // of 1: somebody else may find something to do

	mu        sync.Mutex
	postponed []*job             // oldest first
	held      map[*scribe]*locks // by those who have a batch
}

// collect takes what waits and can go now, up to the bound of a batch; first may
// be nil.
func (w *scribe) collect(first *job) []*job {
	q := &w.c.turns
	q.mu.Lock()
	defer q.mu.Unlock()
	g := gathering{bound: w.c.db.batch, free: w.c.free, locks: newLocks(), waiting: newLocks()}
	older := q.postponed
	q.postponed = nil
	for _, j := range older {
		g.add(j)
	}
	for j := first; ; {
		if j != nil {
			g.add(j)
		}
		if g.weight >= g.bound {
			break
		}
		select {
		case j = <-w.c.queue:
			continue
		default:
		}
		break
	}
	if q.postponed = g.postponed; len(q.postponed) > 0 && g.weight >= g.bound {
		select { // some of them only had no room
		case q.again <- struct{}{}:
		default:
		}
	}
	if len(g.batch) > 0 {
		q.held[w] = g.locks
	}
	return g.batch
}

// release gives back what the scribe's batch held; it looks itself for what
// waited.
func (w *scribe) release() {
	q := &w.c.turns
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.held, w)
}

// free says that no scribe's batch holds what a job needs; the lock is held.
func (c *committer) free(needs *locks) bool {
	for _, held := range c.turns.held {
		if held.meets(needs) {
			return false
		}
	}
	return true
}

// gathering is a batch on its way.
type gathering struct {
	bound     int
	free      func(*locks) bool
	batch     []*job
	weight    int
	locks     *locks // of the batch
	postponed []*job
	waiting   *locks // of what is postponed
}

// add takes a job into the batch, postpones it, or forgets it when its caller has
// left.
func (g *gathering) add(j *job) {
	if g.weight >= g.bound || j.locks != nil && (g.waiting.meets(j.locks) || !g.free(j.locks)) {
		if j.state.Load() == jobAbandoned {
			return
		}
		g.postponed = append(g.postponed, j)
		if j.locks != nil {
			g.waiting.add(j.locks)
		}
		return
	}
	if j.state.CompareAndSwap(jobWaiting, jobTaken) {
		g.batch = append(g.batch, j)
		g.weight += j.weight
		if j.locks != nil {
			g.locks.add(j.locks)
		}
	}
}
