package testpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// ErrMissing is returned where there is no PostgreSQL and none can be installed.
var ErrMissing = errors.New("PostgreSQL is not installed")

// programs finds the folder with initdb and postgres: of the newest version in
// the places where Debian puts them, or of the PATH.
func programs() (string, error) {
	if dir := installed(); dir != "" {
		return dir, nil
	}
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("%w (no /usr/lib/postgresql/*/bin, no initdb in PATH), and only root can install it: apt-get install postgresql-15", ErrMissing)
	}
	if err := install(); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if dir := installed(); dir != "" {
		return dir, nil
	}
	return "", fmt.Errorf("%w: apt-get installed it, and there is no /usr/lib/postgresql/*/bin", ErrMissing)
}

func installed() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is right
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) > 0 {
		return filepath.Dir(found[0])
	}
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			return filepath.Dir(initdb)
		}
	}
	return ""
}

// version is the number in /usr/lib/postgresql/15/bin/initdb.
func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return n
}

// install installs the package of the distribution, without the cluster that
// Debian would make and start.
func install() error {
	fmt.Fprintln(os.Stderr, "testpg: PostgreSQL is missing and is installed now: apt-get install postgresql-15")
	if err := os.MkdirAll("/etc/postgresql-common", 0o755); err != nil {
		return err
	}
	conf := "/etc/postgresql-common/createcluster.conf"
	if _, err := os.Stat(conf); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(conf, []byte("create_main_cluster = false\n"), 0o644); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"update", "-q"}, {"install", "-q", "-y", "--no-install-recommends", "postgresql-15"}} {
		cmd := exec.CommandContext(context.Background(), "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %v: %w", args, err)
		}
	}
	return nil
}
