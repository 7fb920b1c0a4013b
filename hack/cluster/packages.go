package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const cniBinFolder = "/usr/lib/cni"

// debianPackages maps a file that the cluster runs to the package that has it.
// Looking for the file, not for the package, accepts installs of other origin.
var debianPackages = []struct{ command, name string }{
	{"containerd", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{cniBinFolder + "/bridge", "containernetworking-plugins"},
	{cniBinFolder + "/portmap", "containernetworking-plugins"},
	{"iptables", "iptables"},
	{"conntrack", "conntrack"},
	{"socat", "socat"},
	{"ip", "iproute2"},
	{"mount", "mount"},
	{"buildah", "buildah"},
}

func missingPackages() []string {
	var names []string
	seen := map[string]bool{}
	for _, p := range debianPackages {
		if !commandExists(p.command) && !seen[p.name] {
			seen[p.name] = true
			names = append(names, p.name)
		}
	}
	return names
}

func commandExists(name string) bool {
	if filepath.IsAbs(name) {
		return exists(name)
	}
	_, err := exec.LookPath(name)
	return err == nil
}

// installPackages installs what is missing. Where systemd runs, Debian starts a
// containerd along with its package; ours has folders and a socket of its own
// and leaves that one alone.
func installPackages(ctx context.Context) error {
	names := missingPackages()
	if len(names) == 0 {
		return nil
	}
	hint := "install " + strings.Join(names, ", ") + " with this machine's package manager"
	if !commandExists("apt-get") {
		return fmt.Errorf("there is no apt-get here: %s", hint)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("installing packages needs root: %s", hint)
	}
	fmt.Fprintln(os.Stderr, "installing", strings.Join(names, " "), "…")
	install := append([]string{"install", "-y", "--no-install-recommends"}, names...)
	if _, err := aptGet(ctx, install...); err == nil {
		return nil
	}
	// Most often the package lists are missing or old.
	if out, err := aptGet(ctx, "update"); err != nil {
		return fmt.Errorf("apt-get update: %w\n%s", err, out)
	}
	if out, err := aptGet(ctx, install...); err != nil {
		return fmt.Errorf("apt-get install: %w: %s\n%s", err, hint, out)
	}
	return nil
}

func aptGet(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
