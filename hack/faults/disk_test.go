//go:build faults

package faults

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/postgres"
	"github.com/bridgekeeper/bridgekeeper/hack/processes"
	"github.com/bridgekeeper/bridgekeeper/hack/volume"
)

// refusedSeries counts what a bridge asked of the stores in vain.
const refusedSeries = `bridgekeeper_bridge_ingest_duration_seconds_count{result="unavailable"}`

// refused is that of all bridges.
func refused(ctx context.Context, w *processes.World) (total int, err error) {
	for _, p := range w.Bridges {
		n, err := metric(ctx, p, refusedSeries)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// fill takes all room and returns when the full disk has refused often.
func fill(t *testing.T, w *processes.World, disk *volume.Volume) {
	t.Helper()
	before, err := refused(t.Context(), w)
	require.NoError(t, err)
	eventually(t, "the full disk refuses", func(ctx context.Context) error {
		if err := disk.Fill(); err != nil { // again: what was freed meanwhile is not to be used
			return err
		}
		now, err := refused(ctx, w)
		if err == nil && now < before+some/10 {
			err = fmt.Errorf("%d requests were refused", now-before)
		}
		return err
	})
}

// TestFullDisk fills the volume of the database under load, twice; the third
// time the store is killed besides, and started before there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	var disk *volume.Volume
	w := start(t, backend{name: "sqlite", stores: 1, dsn: func(*testing.T) string { return "" }}, func(o *processes.Options) {
		data := filepath.Join(o.Dir, "store-0", "data")
		require.NoError(t, os.MkdirAll(data, 0o700))
		disk = volume.Mount(t, data, "256m", os.Getuid())
	})
	r := load(t, w, 1, func(accepted func(int)) {
		accepted(some)
		for range 2 {
			fill(t, w, disk)
			_, err := w.Desk().Conversations(t.Context(), channel)
			assert.NoError(t, err, "reading goes on")
			require.NoError(t, disk.Empty())
			accepted(some)
		}
		fill(t, w, disk)
		p := w.Stores[0]
		p.Kill()
		require.NoError(t, disk.Fill()) // also what the dead process gave back
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		t.Log("the store on a full disk:", p.Start(ctx)) // it may start or end, but lose nothing
		cancel()
		p.Kill()
		require.NoError(t, disk.Empty())
		again(t, p)
		accepted(some)
	})
	verify(t, w, r, 1)
	assert.Positive(t, r.Repeats[http.StatusServiceUnavailable])
}

// onDisk is a backend whose tables are on a disk of their own; the server's log
// is not.
func onDisk(t *testing.T) (backend, *volume.Volume) {
	t.Helper()
	server, b := ownDatabase(t)
	uid, _, err := postgres.User()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "bridgekeeper-tables")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Remove(dir) })
	disk := volume.Mount(t, dir, "64m", uid)
	t.Cleanup(server.Close) // before the disk goes
	b.dsn = func(t *testing.T) string {
		t.Helper()
		require.NoError(t, server.Exec(t.Context(), server.DSN("postgres"), `CREATE TABLESPACE small LOCATION '`+dir+`'`))
		require.NoError(t, server.Exec(t.Context(), server.DSN("postgres"), `CREATE DATABASE small TABLESPACE small`))
		return server.DSN("small")
	}
	return b, disk
}

// TestPostgresFullOfTables: the server refuses what needs room (SQLSTATE 53100)
// and goes on with the rest.
func TestPostgresFullOfTables(t *testing.T) {
	t.Parallel()
	b, disk := onDisk(t)
	w := start(t, b, nil)
	r := load(t, w, 1, func(accepted func(int)) {
		accepted(some)
		for range 2 {
			fill(t, w, disk)
			require.NoError(t, disk.Empty())
			accepted(some)
		}
	})
	verify(t, w, r, 1)
	assert.Positive(t, r.Repeats[http.StatusServiceUnavailable])
}

// TestPostgresFullOfLog: a server that cannot write its log panics, and whoever
// keeps it running starts it again once there is room.
func TestPostgresFullOfLog(t *testing.T) {
	t.Parallel()
	uid, _, err := postgres.User()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "bridgekeeper-disk")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Remove(dir) })
	disk := volume.Mount(t, dir, "512m", uid)
	server, b := databaseOf(t, postgres.Options{Fsync: true, Dir: dir})
	w := start(t, b, nil)
	r := load(t, w, 1, func(accepted func(int)) {
		accepted(some)
		for range 2 {
			fill(t, w, disk)
			require.NoError(t, disk.Empty())
			server.Kill()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			require.NoError(t, server.Start(ctx))
			cancel()
			accepted(some)
		}
	})
	verify(t, w, r, 1)
	assert.Positive(t, r.Repeats[http.StatusServiceUnavailable])
}
