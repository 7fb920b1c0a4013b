package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const imageUsage = `usage: cluster image load FILE|NAME
       cluster image build -f FILE -t NAME [--build-arg KEY=VALUE]… CONTEXT`

func runImage(ctx context.Context, cfg Config, args []string) error {
	if err := requireRoot(); err != nil {
		return err
	}
	if len(args) == 0 {
		return errors.New(imageUsage)
	}
	if _, alive := running(cfg, "containerd"); !alive {
		return errors.New("the cluster is not up, and its images go when it goes: run `cluster up` first")
	}
	switch args[0] {
	case "load":
		if len(args) != 2 {
			return errors.New(imageUsage)
		}
		return loadImage(ctx, cfg, args[1])
	case "build":
		return runImageBuild(ctx, cfg, args[1:])
	}
	return errors.New(imageUsage)
}

// repeated is a flag that may be given several times.
type repeated []string

func (r *repeated) String() string     { return strings.Join(*r, " ") }
func (r *repeated) Set(s string) error { *r = append(*r, s); return nil }

func runImageBuild(ctx context.Context, cfg Config, args []string) error {
	flags := flag.NewFlagSet("image build", flag.ContinueOnError)
	file := flags.String("f", "", "Dockerfile")
	name := flags.String("t", "", "name of the image")
	var buildArgs repeated
	flags.Var(&buildArgs, "build-arg", "KEY=VALUE")
	if err := flags.Parse(args); err != nil {
		return errQuiet
	}
	if *name == "" || flags.NArg() != 1 {
		return errors.New(imageUsage)
	}
	if *file == "" {
		*file = filepath.Join(flags.Arg(0), "Dockerfile")
	}
	return buildImage(ctx, cfg, *file, *name, buildArgs, flags.Arg(0))
}

// buildImage builds with buildah in a storage of its own that goes when the
// image has arrived in the cluster, so that repeated builds leave nothing.
func buildImage(ctx context.Context, cfg Config, file, name string, buildArgs []string, folder string) error {
	work, err := os.MkdirTemp(cfg.path("images"), "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	// Pushed by its id: by name, the archive would carry buildah's own name too.
	idFile := filepath.Join(work, "id")
	args := []string{"bud", "--file", file, "--iidfile", idFile, "--format", "docker"}
	for _, a := range buildArgs {
		args = append(args, "--build-arg", a)
	}
	storage := []string{
		"--root", filepath.Join(work, "root"), "--runroot", filepath.Join(work, "run"),
		"--storage-driver", "vfs", // overlay may not be mountable, and layers are few
	}
	build := exec.CommandContext(ctx, "buildah", append(storage, append(args, folder)...)...)
	if err := quietly(build, work); err != nil {
		return err
	}
	id, err := os.ReadFile(idFile)
	if err != nil {
		return err
	}
	archive := filepath.Join(work, "image.tar")
	push := exec.CommandContext(ctx, "buildah", append(storage, "push", "--quiet", strings.TrimSpace(string(id)), "docker-archive:"+archive+":"+taggedName(name))...)
	if err := quietly(push, work); err != nil {
		return err
	}
	return importImage(ctx, cfg, archive)
}

// quietly runs a command whose output matters only if it fails.
func quietly(cmd *exec.Cmd, temporary string) error {
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// taggedName adds the tag that a name without one means: an archive needs it.
func taggedName(name string) string {
	if strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		return name
	}
	return name + ":latest"
}

// loadImage takes an archive, or the name of an image that buildah or docker
// has on this machine.
func loadImage(ctx context.Context, cfg Config, source string) error {
	if exists(source) {
		return importImage(ctx, cfg, source)
	}
	work, err := os.MkdirTemp(cfg.path("images"), "load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	archive := filepath.Join(work, "image.tar")
	var problems []error
	for _, try := range [][]string{
		{"buildah", "push", "--quiet", source, "docker-archive:" + archive + ":" + taggedName(source)},
		{"docker", "save", "-o", archive, source},
	} {
		if !commandExists(try[0]) {
			continue
		}
		err := quietly(exec.CommandContext(ctx, try[0], try[1:]...), work)
		if err == nil {
			return importImage(ctx, cfg, archive)
		}
		problems = append(problems, err)
		_ = os.Remove(archive)
	}
	return fmt.Errorf("%s is neither a file nor an image of this machine: %w", source, errors.Join(problems...))
}

func importImage(ctx context.Context, cfg Config, archive string) error {
	_, err := output(ctx, "ctr", "-a", cfg.containerdSocket(), "-n", "k8s.io", "images", "import", archive)
	return err
}

// ensurePauseImage builds and imports the image of every pod's first container,
// unless it is there.
func ensurePauseImage(ctx context.Context, cfg Config) error {
	out, err := output(ctx, "ctr", "-a", cfg.containerdSocket(), "-n", "k8s.io", "images", "list", "-q")
	if err == nil && strings.Contains(out, pauseImage) {
		return nil
	}
	return buildBinaryImage(ctx, cfg, pauseImage, cfg.binary("pause"))
}

// buildBinaryImage makes an image of one static program.
func buildBinaryImage(ctx context.Context, cfg Config, name, program string) error {
	folder, err := os.MkdirTemp(cfg.path("images"), "context-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	data, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "program"), data, 0o755); err != nil {
		return err
	}
	dockerfile := filepath.Join(folder, "Dockerfile")
	content := "FROM scratch\nCOPY program /program\nUSER 65532:65532\nENTRYPOINT [\"/program\"]\n"
	if err := os.WriteFile(dockerfile, []byte(content), 0o644); err != nil {
		return err
	}
	return buildImage(ctx, cfg, dockerfile, name, nil, folder)
}
