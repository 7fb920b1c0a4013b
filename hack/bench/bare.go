package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/hack/traffic"
)

// bareServer is the least that a durable ingest can do: verify the signature,
// append the body to a file, answer when an fsync shared by all who wait is
// done. What it reaches is the limit of this machine for net/http and its disk.
type bareServer struct {
	mu      sync.Mutex
	out     *bufio.Writer
	file    *os.File
	waiting []chan error
	wake    chan struct{}
}

func serveBare(path string, ready func(addr string)) error {
	file, err := os.Create(path) //nolint:gosec // below a temporary folder
	if err != nil {
		return err
	}
	s := &bareServer{out: bufio.NewWriterSize(file, 1<<20), file: file, wake: make(chan struct{}, 1)}
	go s.flush()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ready(l.Addr().String())
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("bare server: %w", err)
	}
	return nil
}

func (s *bareServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || !hmac.Equal([]byte(r.Header.Get("X-Hub-Signature-256")), []byte(traffic.Sign(appSecret, body))) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if err := s.append(body); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (s *bareServer) append(body []byte) error {
	done := make(chan error, 1)
	s.mu.Lock()
	_, _ = s.out.Write(body) // a failure stays in the writer and comes with Flush
	_ = s.out.WriteByte('\n')
	s.waiting = append(s.waiting, done)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return <-done
}

func (s *bareServer) flush() {
	for range s.wake {
		s.mu.Lock()
		err := s.out.Flush()
		waiting := s.waiting
		s.waiting = nil
		s.mu.Unlock()
		if err == nil {
			err = s.file.Sync()
		}
		for _, done := range waiting {
			done <- err
		}
	}
}
