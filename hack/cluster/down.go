package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

func runDown(ctx context.Context, cfg Config, _ []string) error {
	if err := requireRoot(); err != nil {
		return err
	}
	unlock, err := lockCluster(cfg)
	if err != nil {
		return err
	}
	defer unlock()
	begin := time.Now()
	there := anythingLeft(cfg)
	if err := tearDown(ctx, cfg); err != nil {
		return err
	}
	if !there {
		fmt.Println("the cluster is not up: nothing to remove")
		return nil
	}
	fmt.Printf("cluster is down after %s; its logs are in %s\n", time.Since(begin).Round(10*time.Millisecond), cfg.path("logs"))
	return nil
}

// anythingLeft tells whether a cluster of ours was made here and not removed.
func anythingLeft(cfg Config) bool {
	return exists(markerFile(cfg)) || exists("/sys/class/net/"+bridgeName) || len(strays(cfg.Dir)) > 0
}

// tearDown removes everything that up makes, in whatever state it is. It does
// as much as it can and reports what it could not.
func tearDown(ctx context.Context, cfg Config) error {
	if !anythingLeft(cfg) {
		return nil
	}
	found, _ := readMarker(cfg) // a missing or damaged one only means: no foreign chains known
	sockets := shimSockets(cfg)
	problems := []error{
		stopComponents(cfg),
		killPods(),
		endStrays(cfg),
		unmountBelow(cfg.Dir),
		removeLinks(ctx),
		removeRules(ctx, found.ForeignCNI),
		removeCgroups(),
		restoreSysctls(cfg),
		removeFilesElsewhere(cfg, sockets),
	}
	if err := errors.Join(problems...); err != nil {
		return err // the state stays, so that the next down knows what it had to do
	}
	return removeState(cfg)
}

// stopComponents ends the kubelet first, or it would start again what is being
// removed; then all others at once: nothing they could still write is kept.
func stopComponents(cfg Config) error {
	if err := stop(cfg, "kubelet", time.Second); err != nil {
		return err
	}
	list := components(cfg)
	problems := make([]error, len(list))
	var wait sync.WaitGroup
	for i, c := range list {
		wait.Go(func() { problems[i] = stop(cfg, c.name, min(c.grace, 500*time.Millisecond)) })
	}
	wait.Wait()
	return errors.Join(problems...)
}

func endStrays(cfg Config) error {
	var problems []error
	for _, record := range strays(cfg.Dir) {
		problems = append(problems, terminate(record, 0))
	}
	return errors.Join(problems...)
}

// removeState empties the state folder, except for the logs.
func removeState(cfg Config) error {
	mounts, err := mountsBelow(cfg.Dir)
	if err != nil {
		return err
	}
	if len(mounts) > 0 { // removing through a mount would delete somebody's files
		return fmt.Errorf("not removing %s: still mounted are %v", cfg.Dir, mounts)
	}
	entries, err := os.ReadDir(cfg.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	problems := []error{}
	for _, entry := range entries {
		if name := entry.Name(); name != "logs" && name != "logs.old" && name != "cluster.json" {
			problems = append(problems, os.RemoveAll(cfg.path(name)))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	if err := os.Remove(markerFile(cfg)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // last, so that an interrupted down is continued by the next
	}
	return nil
}
