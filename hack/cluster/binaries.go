package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The versions are also in the go.mod files; a test compares them.
const (
	kubernetesVersion = "v1.36.3"
	etcdVersion       = "v3.6.8"
	corednsVersion    = "v1.14.4"
	helmVersion       = "v4.2.4"
)

// program is one binary that is built from a Go module into the cache.
type program struct {
	name    string
	version string
	folder  string // of the module, below this one's
	pkg     string
	ldflags string
	envtest bool // one of the three that envtest wants, or a client that its tests run
}

func kubernetesProgram(name string, envtest bool) program {
	return program{
		name: name, version: kubernetesVersion, folder: ".",
		pkg: "k8s.io/kubernetes/cmd/" + name, ldflags: kubernetesStamps(kubernetesVersion), envtest: envtest,
	}
}

// kubernetesStamps lets `kubectl version` tell the truth: without them every
// command calls itself v0.0.0, and clients that compare versions misbehave.
func kubernetesStamps(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	var b strings.Builder
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		fmt.Fprintf(&b, " -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s -X %[1]s.gitTreeState=clean",
			pkg, version, parts[0], parts[1])
	}
	return b.String()
}

// programs lists what is built. Those of our own come first: they are small,
// and a mistake in them should not be found after minutes of compiling.
func programs(cfg Config) ([]program, error) {
	agent, err := sourceVersion(cfg.Source, "agent")
	if err != nil {
		return nil, err
	}
	pause, err := sourceVersion(cfg.Source, "pause")
	if err != nil {
		return nil, err
	}
	return []program{
		{name: "pause", version: pause, folder: ".", pkg: "./pause"},
		{name: "agent", version: agent, folder: "agent", pkg: "."},
		{name: "etcd", version: etcdVersion, folder: "etcd", pkg: "go.etcd.io/etcd/server/v3", envtest: true},
		kubernetesProgram("kube-apiserver", true),
		kubernetesProgram("kubectl", true),
		{
			name: "helm", version: helmVersion, folder: "helm", pkg: "helm.sh/helm/v4/cmd/helm",
			ldflags: " -X helm.sh/helm/v4/internal/version.version=" + helmVersion, envtest: true,
		},
		kubernetesProgram("kubelet", false),
		kubernetesProgram("kube-controller-manager", false),
		kubernetesProgram("kube-scheduler", false),
		kubernetesProgram("kube-proxy", false),
		{name: "coredns", version: corednsVersion, folder: "coredns", pkg: "github.com/coredns/coredns"},
	}, nil
}

// sourceVersion names a program of our own by what its source says, so that an
// edit gives a new binary and nothing else does.
func sourceVersion(source, folder string) (string, error) {
	if source == "" {
		return "", fmt.Errorf("the source of %s was not found: run inside the repository", folder)
	}
	hash := sha256.New()
	err := filepath.WalkDir(filepath.Join(source, folder), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(hash, "%s %d\n%s", filepath.Base(path), len(data), data)
		return err
	})
	return fmt.Sprintf("%x", hash.Sum(nil))[:12], err
}

// file is where the binary is kept: its version is in its name, so that several
// versions of the repository can share a cache.
func (p program) file(cfg Config) string {
	return filepath.Join(cfg.Cache, p.name+"-"+p.version)
}

// binary is where the cluster finds a program: a folder with one link for each,
// which is also what envtest wants.
func (c Config) binary(name string) string {
	return filepath.Join(c.binFolder(), name)
}

func (c Config) binFolder() string {
	return filepath.Join(c.Cache, "kubernetes-"+kubernetesVersion)
}

func runBinaries(ctx context.Context, cfg Config, args []string) error {
	flags := flag.NewFlagSet("binaries", flag.ContinueOnError)
	envtest := flags.Bool("envtest", false, "only kube-apiserver, etcd, kubectl and helm; prints their folder")
	if err := flags.Parse(args); err != nil {
		return errQuiet
	}
	if !*envtest {
		if err := installPackages(ctx); err != nil {
			return err
		}
	}
	if err := buildPrograms(ctx, cfg, *envtest); err != nil {
		return err
	}
	if *envtest {
		fmt.Println(cfg.binFolder())
	}
	return nil
}

// buildPrograms builds what the cache lacks. Progress goes to standard error,
// so that standard output stays free for what a script wants to read.
func buildPrograms(ctx context.Context, cfg Config, envtestOnly bool) error {
	all, err := programs(cfg)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.binFolder(), 0o755); err != nil {
		return err
	}
	var wanted []program
	for _, p := range all {
		if p.envtest || !envtestOnly {
			wanted = append(wanted, p)
		}
	}
	if missing(cfg, wanted) == 0 {
		return linkPrograms(cfg, wanted)
	}
	unlock, err := lockFile(filepath.Join(cfg.Cache, ".build.lock"), "building the binaries")
	if err != nil {
		return err
	}
	defer unlock()
	abandoned, _ := filepath.Glob(filepath.Join(cfg.Cache, ".building-*"))
	for _, file := range abandoned { // we hold the lock: nobody will finish them
		_ = os.Remove(file)
	}
	for i, p := range wanted {
		if exists(p.file(cfg)) {
			continue
		}
		fmt.Fprintf(os.Stderr, "[%d/%d] %s %s … ", i+1, len(wanted), p.name, p.version)
		start := time.Now()
		if err := build(ctx, cfg, p); err != nil {
			fmt.Fprintln(os.Stderr, "failed")
			return err
		}
		fmt.Fprintln(os.Stderr, time.Since(start).Round(time.Second))
	}
	return linkPrograms(cfg, wanted)
}

func missing(cfg Config, wanted []program) int {
	n := 0
	for _, p := range wanted {
		if !exists(p.file(cfg)) {
			n++
		}
	}
	return n
}

// build compiles into a temporary name and renames, so that an interrupted
// build leaves nothing that looks finished.
func build(ctx context.Context, cfg Config, p program) error {
	// A name of this run's own: the compiler of a run that was killed may still
	// be writing.
	temporary := filepath.Join(cfg.Cache, fmt.Sprintf(".building-%s-%d", p.name, os.Getpid()))
	defer os.Remove(temporary)
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-ldflags", strings.TrimSpace("-s -w"+p.ldflags), "-o", temporary, p.pkg)
	cmd.Dir = filepath.Join(cfg.Source, p.folder)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s in %s: %w\n%s", p.pkg, cmd.Dir, err, output.String())
	}
	return os.Rename(temporary, p.file(cfg))
}

func linkPrograms(cfg Config, wanted []program) error {
	for _, p := range wanted {
		link, target := cfg.binary(p.name), filepath.Join("..", filepath.Base(p.file(cfg)))
		if current, err := os.Readlink(link); err == nil && current == target {
			continue
		}
		// A link cannot be overwritten, but a rename replaces it in one step.
		temporary := fmt.Sprintf("%s.%d", link, os.Getpid())
		if err := os.Symlink(target, temporary); err != nil {
			return err
		}
		if err := os.Rename(temporary, link); err != nil {
			return err
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
