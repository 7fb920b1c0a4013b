package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ourPrograms are the executables that may be ended without a pidfile, if their
// command line names our state folder. A user's kubectl or tail does not belong
// to them.
var ourPrograms = []string{
	"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy",
	"coredns", "agent", "containerd", "containerd-shim-runc-v2",
}

// isStray tells whether a process is one of the cluster's: by its executable,
// and by an argument that lies in the state folder. Pods never match: what they
// run is found through their cgroup instead.
func isStray(dir, executable string, args []string) bool {
	name := filepath.Base(executable)
	known := slices.ContainsFunc(ourPrograms, func(p string) bool {
		return name == p || strings.HasPrefix(name, p+"-") // in the cache the version is in the name
	})
	return known && slices.ContainsFunc(args, func(arg string) bool {
		return strings.Contains(arg, dir+"/")
	})
}

// strays finds processes of the cluster that no pidfile knows: shims, which are
// containerd's children, and whatever an interrupted run has left.
func strays(dir string) []processRecord {
	var found []processRecord
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil || len(cmdline) == 0 {
			continue
		}
		record, err := inspect(pid)
		if err != nil {
			continue
		}
		args := strings.Split(string(bytes.TrimRight(cmdline, "\x00")), "\x00")
		if isStray(dir, record.Executable, args[1:]) {
			found = append(found, record)
		}
	}
	return found
}
