package store

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// Locks. Where several replicas write to one database, a function says before
// its transaction begins what it is going to decide upon. The committer takes
// the locks of a whole batch in one order, before the first function runs, so
// that what is read stays true until the commit and nobody waits for each other
// in a ring:
//
//	root ─── of everything: shared by all, exclusive for what moves many channels
//	  │      at once (a new document, a session that comes or goes)
//	  ├── inbox of a channel: shared by messages, exclusive for what waits for
//	  │     │   messages or moves addresses (edits, reactions, migrations)
//	  │     └── party: one address on the channel, with its conversation
//	  ├── outbox of a channel: its lanes, deliveries, receipts
//	  ├── agents of a namespace: who may give them something, and who they are
//	  ├── surveys of a contact: whether campaigns ask them, one after another
//	  └── an idempotency key: messages and other writes share them, in two tables
//
// With SQLite there is one writer, and no lock but its own.
//
// Locks decide nothing by themselves: unique keys do, and a row that is read to
// be written is read FOR UPDATE where no lock stands for it. They keep READ
// COMMITTED from showing a function half of what another one does.

// lock is one lock: a number for the database, and whether others may share it.
type lock struct {
	key    int64
	shared bool
}

// lockSpace is what a name is a name of.
type lockSpace byte

const (
	spaceInbox lockSpace = iota + 1
	spaceParty
	spaceOutbox
	spaceSession
	spaceFence
	spaceWork // of sessions, not of transactions: see Store.alone
	spaceAgents
	spaceKey
	spaceSurvey
)

// rootKey is the lock of everything. All others are hashes; one that is equal
// to it, or to another, only makes two wait for each other that need not.
const rootKey int64 = -1 << 63

// locks are what a function needs. A nil one is none at all.
type locks struct {
	root    bool              // exclusive; shared otherwise
	inboxes map[string]bool   // by channel; true: exclusive
	parties map[address]bool  // each with its inbox, shared
	others  map[lockName]bool // exclusive
}

// address is an external id of a contact on a channel.
type address struct{ channel, externalID string }

// lockName is what a lock is for.
type lockName struct {
	space lockSpace
	name  string
}

// newLocks is the beginning of what a function needs: its share of the root.
func newLocks() *locks {
	return &locks{inboxes: map[string]bool{}, parties: map[address]bool{}, others: map[lockName]bool{}}
}

// everythingLocked keeps all others out. It is for what is rare and moves rows
// of many channels.
func everythingLocked() *locks {
	l := newLocks()
	l.root = true
	return l
}

// inbox keeps a channel's messages out.
func (l *locks) inbox(channel string) *locks {
	if l == nil {
		return nil
	}
	l.inboxes[channel] = true
	return l
}

// party is for one address on a channel and the conversation with it.
func (l *locks) party(channel, externalID string) *locks {
	if l == nil {
		return nil
	}
	if _, ok := l.inboxes[channel]; !ok {
		l.inboxes[channel] = false
	}
	l.parties[address{channel, externalID}] = true
	return l
}

// outbox is for all that a channel sends, and what is told about it.
func (l *locks) outbox(channel string) *locks {
	if l == nil {
		return nil
	}
	l.others[lockName{spaceOutbox, channel}] = true
	return l
}

// session is for the sessions of a Bridge.
func (l *locks) session(bridge string) *locks {
	l.others[lockName{spaceSession, bridge}] = true
	return l
}

// fence is for the cursor of a channel's connection.
func (l *locks) fence(channel string) {
	if l != nil {
		l.others[lockName{spaceFence, channel}] = true
	}
}

// agents is for giving something to agents of a namespace, and changing who
// they are. (Taking something from them needs no lock: see tally.go.)
func (l *locks) agents(namespace string) *locks {
	l.others[lockName{spaceAgents, namespace}] = true
	return l
}

// key is for an idempotency key of a namespace.
func (l *locks) key(namespace, key string) *locks {
	l.others[lockName{spaceKey, namespace + "/" + key}] = true
	return l
}

// survey is for deciding whether campaigns ask a contact.
func (l *locks) survey(contact string) *locks {
	l.others[lockName{spaceSurvey, contact}] = true
	return l
}

func (l *locks) add(o *locks) {
	l.root = l.root || o.root
	for ch, exclusive := range o.inboxes {
		l.inboxes[ch] = l.inboxes[ch] || exclusive
	}
	for a := range o.parties {
		l.parties[a] = true
	}
	for n := range o.others {
		l.others[n] = true
	}
}

// meets says whether one of two transactions with these locks would wait for the
// other one.
func (l *locks) meets(o *locks) bool {
	if l.empty() || o.empty() {
		return false
	}
	if l.root || o.root {
		return true
	}
	if meet(l.inboxes, o.inboxes, func(mine, theirs bool) bool { return mine || theirs }) {
		return true
	}
	return meet(l.parties, o.parties, always) || meet(l.others, o.others, always)
}

// empty says that it is a set of nothing, not even a share of the root.
func (l *locks) empty() bool {
	return !l.root && len(l.inboxes)+len(l.parties)+len(l.others) == 0
}

func always(_, _ bool) bool { return true }

// meet looks for a name in both whose values exclude each other.
func meet[K comparable](a, b map[K]bool, exclude func(x, y bool) bool) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	for name, x := range a {
		if y, ok := b[name]; ok && exclude(x, y) {
			return true
		}
	}
	return false
}

// maxLocks bounds the locks of one transaction. PostgreSQL's table of locks has
// room for max_locks_per_transaction × max_connections, 6400 as it comes: for
// some thirty writers. Beyond it parties give way to their whole inbox, which
// costs little: a batch of so many would meet somebody in most of them anyway.
const maxLocks = 200

// ordered are the locks in the order in which everybody takes them.
func (l *locks) ordered() []lock {
	if l.root || len(l.inboxes)+len(l.others) >= maxLocks {
		return []lock{{key: rootKey}}
	}
	list := []lock{{key: rootKey, shared: true}}
	coarse := 1+len(l.inboxes)+len(l.parties)+len(l.others) > maxLocks
	for ch, exclusive := range l.inboxes {
		list = append(list, lock{keyOf(spaceInbox, ch), !exclusive && !coarse})
	}
	if !coarse {
		for a := range l.parties {
			if !l.inboxes[a.channel] { // else the whole inbox is ours
				list = append(list, lock{keyOf(spaceParty, a.channel, a.externalID), false})
			}
		}
	}
	for n := range l.others {
		list = append(list, lock{keyOf(n.space, n.name), false})
	}
	// Of two with the same key the exclusive one comes first, which the other
	// then has already: taking them the other way round could wait in a ring.
	slices.SortFunc(list, func(a, b lock) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(boolInt(a.shared), boolInt(b.shared)))
	})
	return slices.CompactFunc(list, func(a, b lock) bool { return a.key == b.key })
}

// has says whether the lock of a name is among them.
func (l *locks) has(space lockSpace, name string) bool {
	if l == nil {
		return false
	}
	return l.root || l.others[lockName{space, name}] || space == spaceInbox && l.inboxes[name]
}

// keyOf is the number of a lock.
func keyOf(space lockSpace, names ...string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte{byte(space)})
	for _, n := range names {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(n))))
		_, _ = h.Write([]byte(n))
	}
	return int64(h.Sum64()) //nolint:gosec // any 64 bits
}

// needs adds the locks for an envelope. A message shares its channel's inbox
// with all others but those of the same address. What looks for a message that
// may not be there yet (and waits for it then) keeps messages out, so that
// neither passes the other unseen; in the outbox, too, where messages that were
// sent get their ids.
func (env *intake) needs(l *locks) {
	if env.Fence != nil && env.channel != nil {
		l.fence(env.channel.Name)
	}
	for i := range env.elements {
		if e := &env.elements[i]; e.verdict.Result == "" {
			e.needs(l)
		}
	}
}

func (e *element) needs(l *locks) {
	ch, ev := e.channel.Name, e.event
	switch {
	case ev.Receipt != nil && ev.Receipt.ExternalID == "": // a watermark, which looks for its contact
		l.party(ch, ev.Receipt.Contact).outbox(ch)
	case ev.Receipt != nil:
		l.outbox(ch)
	case ev.Membership != nil:
		l.party(ch, ev.Membership.Contact.ExternalID)
	case ev.Migration != nil: // two contacts may become one, with what is sent to them
		l.inbox(ch).outbox(ch)
	case isEffect(ev.Message.Type):
		l.inbox(ch).outbox(ch)
	case e.direction == message.Outbound: // an echo, which its receipts look for
		l.party(ch, ev.Message.Contact.ExternalID).outbox(ch)
	default:
		l.party(ch, ev.Message.Contact.ExternalID)
	}
}
