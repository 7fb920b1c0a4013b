package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What up and the pods leave outside the state folder, and how it goes away:
//
//	mounts of pods, volumes and network namespaces   all lie below the state folder
//	the bridge and the pods' ends on it              by the bridge's name
//	iptables chains                                  rules.go
//	control groups                                   all lie below /bridgekeeper-cluster
//	changed sysctls                                  network.go
//	files of CNI, kubelet and shims                  removeFilesElsewhere

// mountsBelow lists mount points below a folder, the deepest first.
func mountsBelow(dir string) ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(string(data), dir), nil
}

func parseMounts(mountinfo, dir string) []string {
	var found []string
	for _, line := range strings.Split(mountinfo, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if point := unescapeMount(fields[4]); strings.HasPrefix(point, dir+"/") {
			found = append(found, point)
		}
	}
	// Later mounts may lie on earlier ones, so the order of the table matters
	// too: reversed it is the order in which they can go.
	sort.SliceStable(found, func(i, j int) bool { return len(found[i]) > len(found[j]) })
	return found
}

// unescapeMount turns the octal escapes of mountinfo (\040 is a space) back.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unmountBelow(dir string) error {
	var problem error
	// Several mounts can lie on the same point; each pass removes one of them.
	for range 5 {
		points, err := mountsBelow(dir)
		if err != nil || len(points) == 0 {
			return err
		}
		problem = nil
		for _, point := range points {
			err := syscall.Unmount(point, syscall.MNT_DETACH)
			if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
				problem = errors.Join(problem, fmt.Errorf("unmounting %s: %w", point, err))
			}
		}
	}
	return problem
}

// removeLinks removes the bridge and the host's ends of the pods' cables. The
// latter go with their network namespace, but not always at once.
func removeLinks(ctx context.Context) error {
	ports, _ := filepath.Glob("/sys/class/net/" + bridgeName + "/brif/*")
	for _, port := range ports {
		_, _ = output(ctx, "ip", "link", "delete", filepath.Base(port)) // may have gone by itself
	}
	if !exists("/sys/class/net/" + bridgeName) {
		return nil
	}
	_, err := output(ctx, "ip", "link", "delete", bridgeName)
	return err
}

// cgroupFolders gives our root in every hierarchy: one per controller in
// version 1, a single one in version 2, both on a hybrid machine.
func cgroupFolders() ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, mount := range parseCgroupMounts(string(data)) {
		roots = append(roots, filepath.Join(mount, cgroupRoot))
	}
	return roots, nil
}

func parseCgroupMounts(mountinfo string) []string {
	var points []string
	for _, line := range strings.Split(mountinfo, "\n") {
		before, after, found := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if found && len(fields) >= 5 && strings.HasPrefix(after, "cgroup") {
			points = append(points, unescapeMount(fields[4]))
		}
	}
	return points
}

// makeCgroups makes the root below which the kubelet puts all pods: it insists
// on finding it.
func makeCgroups() error {
	roots, err := cgroupFolders()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := os.MkdirAll(root, 0o755); err != nil {
			return fmt.Errorf("making a control group: %w: are the cgroup mounts writable?", err)
		}
		// In version 1 a new cpuset is empty, and nothing can run in it.
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			file := filepath.Join(root, name)
			own, err := os.ReadFile(file)
			if err != nil || len(strings.TrimSpace(string(own))) > 0 || !exists(filepath.Join(filepath.Dir(root), "tasks")) {
				continue
			}
			parent, err := os.ReadFile(filepath.Join(filepath.Dir(root), name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(file, parent, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachCgroup visits our control groups, children before their parents.
func eachCgroup(visit func(folder string)) error {
	roots, err := cgroupFolders()
	if err != nil {
		return err
	}
	for _, root := range roots {
		var all []string
		_ = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				all = append(all, path)
			}
			return nil // groups vanish while we walk
		})
		for i := len(all) - 1; i >= 0; i-- {
			visit(all[i])
		}
	}
	return nil
}

// killPods ends every process in a control group of ours: those are the pods'
// and nobody else's. The membership is the kernel's word, so no pidfile is
// needed.
func killPods() error {
	for range 100 {
		left := 0
		err := eachCgroup(func(folder string) {
			data, _ := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
			for _, field := range strings.Fields(string(data)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 1 && pid != os.Getpid() {
					left++
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		})
		if err != nil || left == 0 {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("processes of pods do not end: are they waiting for a disk?")
}

func removeCgroups() error {
	var left []error
	for range 50 { // a group can be busy for a moment after its last process
		left = nil
		err := eachCgroup(func(folder string) {
			if err := os.Remove(folder); err != nil && !errors.Is(err, os.ErrNotExist) {
				left = append(left, err)
			}
		})
		if err != nil || len(left) == 0 {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.Join(left...)
}

// shimSockets reads where the shims of our containers listen: in a folder that
// every containerd of the machine shares.
func shimSockets(cfg Config) []string {
	files, _ := filepath.Glob(cfg.path("run", "containerd", "io.containerd.runtime.v2.task", "*", "*", "address"))
	var sockets []string
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil {
			sockets = append(sockets, strings.TrimPrefix(strings.TrimSpace(string(data)), "unix://"))
		}
	}
	return sockets
}

// removeFilesElsewhere removes what containerd, the CNI plugins and the kubelet
// write to fixed places: by name, or because it points into our state folder.
func removeFilesElsewhere(cfg Config, sockets []string) error {
	for _, socket := range sockets {
		if strings.HasPrefix(socket, "/run/containerd/s/") {
			_ = os.Remove(socket) // a shim that ended properly has removed it
		}
	}
	results, _ := filepath.Glob("/var/lib/cni/results/*")
	for _, file := range results {
		// Those of the loopback plugin do not bear our network's name, only the
		// path of the pod's network namespace.
		data, err := os.ReadFile(file)
		if err == nil && (strings.HasPrefix(filepath.Base(file), "bridgekeeper-") || strings.Contains(string(data), cfg.Dir+"/")) {
			_ = os.Remove(file)
		}
	}
	links, _ := filepath.Glob("/var/log/containers/*.log")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, cfg.Dir+"/") {
			_ = os.Remove(link)
		}
	}
	// The kubelet's device plugin folder cannot be moved. Its files are only
	// there without another kubelet: up refuses to start beside one.
	for _, name := range []string{"kubelet.sock", "kubelet_internal_checkpoint", "DEPRECATION"} {
		_ = os.Remove(filepath.Join("/var/lib/kubelet/device-plugins", name))
	}
	// Only empty folders can be removed this way: others are somebody else's.
	for _, folder := range []string{
		"/run/containerd/s", "/run/containerd", "/var/lib/cni/results", "/var/lib/cni", "/var/log/containers",
		"/var/lib/kubelet/device-plugins", "/var/lib/kubelet",
	} {
		_ = os.Remove(folder)
	}
	return nil
}
