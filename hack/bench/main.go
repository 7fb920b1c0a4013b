package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// bench is one run.
type bench struct {
	binary   string
	messages int
	dir      string
	folders  int
	env      []string
	only     string
	profiles string // folder; "": none
}

// folder is a new folder below the run's own.
func (b *bench) folder() string {
	b.folders++
	dir := filepath.Join(b.dir, strconv.Itoa(b.folders))
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // PostgreSQL's user has to get in
		panic(err) // a temporary folder of our own
	}
	return dir
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "bare" {
		fail(serveBare(os.Args[2], func(addr string) { fmt.Println(addr) }))
		return
	}
	b := &bench{}
	flag.StringVar(&b.binary, "binary", "bin/bridge", "the bridge's binary")
	flag.IntVar(&b.messages, "messages", 100_000, "messages of a measured run")
	flag.StringVar(&b.only, "only", "", "measure only what has this in its name: SQLite, \"SQLite 64\", routed, sending …")
	flag.StringVar(&b.profiles, "profiles", "", "folder for CPU profiles of bridge and store during the measured runs; the binary must be built with -tags profile (others end at the signal)")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Bench measures a bridge and a store, as processes, and prints tables; make bench builds them first.\n\nFlags:")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fail(b.run(ctx))
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "bridgekeeper-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // as folder
		return err
	}
	if b.profiles != "" {
		if b.profiles, err = filepath.Abs(b.profiles); err != nil {
			return err
		}
		if err := os.MkdirAll(b.profiles, 0o755); err != nil { //nolint:gosec // as folder
			return err
		}
		b.env = append(b.env, "BRIDGEKEEPER_PROFILES="+b.profiles)
	}
	if err := b.ingest(ctx); err != nil {
		return err
	}
	if err := b.routed(ctx); err != nil {
		return err
	}
	return b.outbound(ctx)
}

// wanted says whether something is to be measured.
func (b *bench) wanted(name string) bool { return strings.Contains(name, b.only) }

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
