package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockFile takes an exclusive lock that the kernel drops when the process ends,
// however it ends. It says so when it has to wait. The file is never removed:
// removing it would let two processes hold "the" lock.
func lockFile(file, why string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(30 * time.Minute) // longer than the longest build
	for told := false; ; time.Sleep(100 * time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if time.Now().After(deadline) {
			f.Close()
			return nil, fmt.Errorf("%s is still locked by another run (%w): find it with `fuser %s`", file, err, file)
		}
		if !told {
			fmt.Fprintf(os.Stderr, "waiting for another run that is %s\n", why)
			told = true
		}
	}
}

// lockCluster keeps up, down and image imports from running at the same time.
// The lock lies beside the state folder, because down removes what is inside.
func lockCluster(cfg Config) (func(), error) {
	return lockFile(cfg.Dir+".lock", "starting or stopping the cluster")
}
