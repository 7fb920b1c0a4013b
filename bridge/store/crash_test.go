package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	"github.com/bridgekeeper/bridgekeeper/hack/volume"
)

// crashDir is set in the child process that is going to be killed.
const crashDir = "BRIDGEKEEPER_TEST_CRASH_DIR"

// ingestUntilKilled writes the id of each acknowledged message to standard output.
func ingestUntilKilled(dir string) {
	s, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	s.Load(context.Background(), testDocument(crashT{}, testEntries(crashT{})...))
	var out sync.Mutex
	for w := range 16 {
		go func() {
			for i := 0; ; i++ {
				contact := fmt.Sprintf("c%d", w)
				resp, err := s.Ingest(context.Background(), shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{
					envelope(telegram, textFrom(contact, fmt.Sprintf("%d-%d", w, i), "x"))}})
				if err != nil {
					return
				}
				out.Lock()
				fmt.Println(resp.Envelopes[0].Elements[0].ID)
				out.Unlock()
			}
		}()
	}
	select {}
}

// crashT lets the test helpers work outside a test.
type crashT struct{ testing.TB }

func (crashT) Helper()                   {}
func (crashT) Errorf(f string, a ...any) { fmt.Fprintf(os.Stderr, f, a...) }
func (crashT) FailNow()                  { os.Exit(1) }

func TestAcknowledgedMessagesSurviveKill(t *testing.T) {
	sqliteOnly(t)
	dir := t.TempDir()
	var acknowledged []string
	for round := range 2 { // the second round begins on what the first one left
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), crashDir+"="+dir)
		child.Stderr = os.Stderr
		stdout, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		n := 0
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			require.NotContains(t, lines.Text(), "error")
			if id := lines.Text(); len(id) == 26 { // the last line may be cut off
				acknowledged = append(acknowledged, id)
			}
			if n++; n == 500 {
				require.NoError(t, child.Process.Signal(syscall.SIGKILL))
			}
		}
		var exit *exec.ExitError
		require.True(t, errors.As(child.Wait(), &exit) && strings.Contains(exit.String(), "killed"), round)
	}

	s := openTestStore(t, Options{Dir: dir})
	var check string
	_, err := one(t.Context(), s.read, []any{&check}, `PRAGMA integrity_check`)
	require.NoError(t, err)
	require.Equal(t, "ok", check)
	require.GreaterOrEqual(t, len(acknowledged), 1000/2)
	for _, id := range acknowledged {
		_, err := s.Message(t.Context(), everything, id)
		require.NoError(t, err)
	}
	list, next := eventsAfter(t, s, 0)
	require.EqualValues(t, len(list), next, "the log has no gap")
}

func TestFullDiskIsUnavailableAndPasses(t *testing.T) {
	sqliteOnly(t)
	dir := t.TempDir()
	disk := volume.Mount(t, dir, "4m", os.Getuid())
	s := openTestStore(t, Options{Dir: dir})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	stored(t, s, telegram, text("before", "x"))

	var err error
	full := 0
	for ; full < 500 && err == nil; full++ {
		env := envelope(telegram, text(numbered("m", full), strings.Repeat("x", 20_000)))
		_, err = s.Ingest(t.Context(), shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{env}})
	}
	require.ErrorIs(t, err, ErrUnavailable)
	h := s.Health(t.Context())
	require.False(t, h.OK)
	require.Len(t, h.Warnings, 1)
	require.Equal(t, "StorageLow", h.Warnings[0].Reason)
	p, err := s.Messages(t.Context(), everything, MessageQuery{})
	require.NoError(t, err, "reading goes on")
	require.NotEmpty(t, p.Items)
	_, err = s.UploadMedia(t.Context(), everything, "shop", MediaMeta{}, strings.NewReader(strings.Repeat("x", 8<<20)))
	require.ErrorIs(t, err, ErrUnavailable)

	require.NoError(t, disk.Resize("64m"))
	retry := envelope(telegram, text(numbered("m", full-1), strings.Repeat("x", 20_000)))
	require.Equal(t, wire.ResultStored, ingestEnvelope(t, s, retry)[0].Result, "what was refused left nothing and goes in now")
	require.True(t, s.Health(t.Context()).OK)
}

func TestStorageLow(t *testing.T) {
	const mib = 1 << 20
	for _, tc := range []struct {
		free, total uint64
		low         bool
	}{
		{64*mib - 1, 100 * mib, true},
		{64 * mib, 100 * mib, false},
		{100 * mib, 10_000 * mib, true}, // 5 % are 500 MiB
		{500 * mib, 10_000 * mib, false},
	} {
		require.Equal(t, tc.low, storageLow(tc.free, tc.total), tc)
	}
}
