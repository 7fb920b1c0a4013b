package webhook

import (
	"container/list"
	"sync"
)

const (
	// bodiesTotal bounds the memory of bodies that nobody has verified yet, a
	// sixteenth of a pod of 512 MiB.
	bodiesTotal = 32 << 20
	// bodiesChannel is one channel's share, the longest body there is (Meta's): junk
	// sent to a URL cannot take the room of all others.
	bodiesChannel = 13 << 20
	// bodyFloor is what a request costs at least: its goroutine and buffers.
	// 32 MiB / 16 KiB are 2048 requests being read at one time.
	bodyFloor = 16 << 10
)

// bodies is the room for request bodies that are still being read and not
// verified. When there is none left, the oldest reader gives way: a platform's
// request comes in one piece and is read in milliseconds, so the oldest is a
// slow or stuck sender. Nobody can lock a channel up by sending slowly.
type bodies struct {
	total, share int64
	used         func(bytes int64) // told after each change

	mu       sync.Mutex
	bytes    int64
	all      *list.List // of *room, oldest first
	channels map[string]*channelRooms
}

type channelRooms struct {
	bytes int64
	rooms *list.List
}

// room is the place of one body. Release it when the body is verified or refused.
type room struct {
	owner   *bodies
	channel string
	size    int64
	evict   func() // makes the read fail at once

	inAll, inChannel *list.Element
	evicted, done    bool
}

func newBodies(total, share int64, used func(int64)) *bodies {
	return &bodies{total: total, share: share, used: used, all: list.New(), channels: map[string]*channelRooms{}}
}

// reserve makes room for a body of up to size bytes and evicts older ones if
// it must. evict is called at most once, on another goroutine's time.
func (b *bodies) reserve(channel string, size int64, evict func()) *room {
	r := &room{owner: b, channel: channel, size: max(size, bodyFloor), evict: evict}
	b.mu.Lock()
	c := b.channels[channel]
	if c == nil {
		c = &channelRooms{rooms: list.New()}
		b.channels[channel] = c
	}
	var victims []*room
	for c.bytes+r.size > b.share && c.rooms.Len() > 0 {
		victims = append(victims, b.drop(c.rooms.Front().Value.(*room)))
	}
	for b.bytes+r.size > b.total && b.all.Len() > 0 {
		victims = append(victims, b.drop(b.all.Front().Value.(*room)))
	}
	b.channels[channel] = c // drop forgets a channel without rooms
	c.bytes += r.size
	b.bytes += r.size
	r.inChannel, r.inAll = c.rooms.PushBack(r), b.all.PushBack(r)
	b.used(b.bytes)
	b.mu.Unlock()
	for _, v := range victims {
		v.evict()
	}
	return r
}

// drop takes a room out of the books; the lock is held.
func (b *bodies) drop(r *room) *room {
	r.evicted = !r.done
	r.done = true
	c := b.channels[r.channel]
	c.rooms.Remove(r.inChannel)
	b.all.Remove(r.inAll)
	c.bytes -= r.size
	b.bytes -= r.size
	if c.rooms.Len() == 0 {
		delete(b.channels, r.channel)
	}
	return r
}

// release gives the room back; it says whether it had been taken away before.
func (r *room) release() (evicted bool) {
	r.owner.mu.Lock()
	defer r.owner.mu.Unlock()
	if !r.done {
		r.done = true
		r.owner.drop(r)
		r.owner.used(r.owner.bytes)
	}
	return r.evicted
}
