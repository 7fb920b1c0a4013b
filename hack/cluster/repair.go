package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// busyPatience is how long a component that lives may fail its health check
// before it is restarted: tests can keep two cores busy for a while.
const busyPatience = 10 * time.Second

// repair starts what has died, restarts what lives but does not answer, and
// leaves everything else, pods included, as it is.
func repair(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithTimeout(ctx, repairTimeout)
	defer cancel()
	if err := prepareMachine(ctx, cfg); err != nil {
		return err
	}
	c, err := newClient(cfg)
	if err != nil {
		return err
	}
	var dead, mute []string
	for _, component := range components(cfg) {
		if _, alive := running(cfg, component.name); !alive {
			dead = append(dead, component.name)
		} else if len(dead) == 0 && !recovers(ctx, c, component) {
			// Only looked at while nothing before it is dead: an API server
			// without etcd is not to blame.
			mute = append(mute, component.name)
			if err := stop(cfg, component.name, component.grace); err != nil {
				return err
			}
		}
	}
	if len(dead) > 0 {
		fmt.Println("had died:", strings.Join(dead, ", "))
	}
	if len(mute) > 0 {
		fmt.Println("did not answer and was restarted:", strings.Join(mute, ", "))
	}
	if err := endUnknown(cfg); err != nil {
		return err
	}
	return startAll(ctx, cfg)
}

func recovers(ctx context.Context, c *client, component component) bool {
	deadline := time.Now().Add(busyPatience)
	for {
		if component.healthy(ctx, c) == nil {
			return true
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// endUnknown ends processes of the cluster that have lost their pidfile and
// would hold the ports of those that are about to start. Shims stay: they hold
// the running pods.
func endUnknown(cfg Config) error {
	known := map[int]bool{}
	for _, component := range components(cfg) {
		if record, alive := running(cfg, component.name); alive {
			known[record.PID] = true
		}
	}
	for _, record := range strays(cfg.Dir) {
		if known[record.PID] || strings.Contains(record.Executable, "containerd-shim") {
			continue
		}
		if err := terminate(record, 2*time.Second); err != nil {
			return err
		}
	}
	return nil
}
