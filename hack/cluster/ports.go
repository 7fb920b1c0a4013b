package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// checkPorts refuses to start when a stranger listens where one of ours should:
// the component's own error would be buried in its log.
func checkPorts(ctx context.Context, list []component) error {
	var problems []error
	for _, c := range list {
		for _, where := range c.ports {
			listener, err := net.Listen("tcp4", where)
			if err == nil {
				listener.Close()
				continue
			}
			if !errors.Is(err, syscall.EADDRINUSE) {
				problems = append(problems, fmt.Errorf("%s cannot listen on %s: %w", c.name, where, err))
				continue
			}
			problems = append(problems, fmt.Errorf("%s needs %s, which is taken by %s: stop that, or change the port in hack/cluster/config.go",
				c.name, where, listenerOf(ctx, where)))
		}
	}
	return errors.Join(problems...)
}

// listenerOf names who listens on a port, as far as ss can tell.
func listenerOf(ctx context.Context, where string) string {
	_, port, err := net.SplitHostPort(where)
	if err != nil {
		return "another process"
	}
	out, err := output(ctx, "ss", "-Hltnp", "sport = :"+port)
	if _, who, found := strings.Cut(out, "users:"); err == nil && found {
		return firstLine(who)
	}
	return "another process"
}
