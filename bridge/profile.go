//go:build profile

package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"
)

// A binary built with -tags profile writes CPU profiles of itself, for
// hack/bench: SIGUSR1 begins one in the folder $BRIDGEKEEPER_PROFILES, the next
// one ends it.
func init() {
	dir := os.Getenv("BRIDGEKEEPER_PROFILES")
	if dir == "" || len(os.Args) < 2 {
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.cpu", os.Args[1], os.Getpid())))
			if err == nil {
				err = pprof.StartCPUProfile(file)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "profile:", err)
				return
			}
			<-signals
			pprof.StopCPUProfile()
			_ = file.Close()
		}
	}()
}
