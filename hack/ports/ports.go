// Package ports finds ports for processes that listen a moment later, and
// again after a restart. A port that the kernel hands out (":0") may by then be
// the local end of somebody's connection, so these are below the range that it
// draws from (32768 to 60999) and that NodePorts have (30000 to 32767).
package ports

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

const first, last = 12_000, 29_999

var (
	mu   sync.Mutex
	next = first + rand.IntN(last-first) // test processes run side by side
)

// Free is a port of 127.0.0.1 on which nobody listens, another one each time.
func Free(ctx context.Context) (string, error) {
	mu.Lock()
	defer mu.Unlock()
	for range last - first {
		if next++; next > last {
			next = first
		}
		port := strconv.Itoa(next)
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return "", errors.New("no free port")
}
