//go:build faults

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/hack/processes"
)

const (
	secondPage    = "2234567890"
	secondChannel = processes.Namespace + "/second"
)

// second is a sibling of messenger(): another page of the same app.
func second(change func(*document.Channel)) document.Channel {
	c := messenger()
	c.UID, c.Account, c.Config = "3", secondPage, []byte(`{"pageID":"`+secondPage+`","appID":"`+app+`"}`)
	if change != nil {
		change(&c)
	}
	return c
}

// waitExceptions returns when every bridge has n entries that it cannot load.
func waitExceptions(t *testing.T, w *processes.World, n int) {
	t.Helper()
	for _, p := range w.Bridges {
		eventually(t, fmt.Sprintf("%s has %d exceptions", p.Name, n), func(ctx context.Context) error {
			found, err := metric(ctx, p, "bridgekeeper_bridge_document_exceptions")
			if err == nil && found != n {
				err = fmt.Errorf("it has %d", found)
			}
			return err
		})
	}
}

// restart stops every bridge and starts it again.
func restart(t *testing.T, w *processes.World) {
	t.Helper()
	for _, p := range w.Bridges {
		p.Stop()
		again(t, p)
	}
}

// TestABadEntryThenARestart: the last good version goes on until the pod does
// not have it any more. Then the platform keeps what is the bad one's, and its
// sibling takes in all the same.
func TestABadEntryThenARestart(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		good := map[string]document.Channel{"messenger": messenger(), "second": second(nil)}
		w := start(t, b, func(o *processes.Options) { o.Channels = good })
		both := func(n int) string {
			return webhook(entry(page, text(1, fmt.Sprintf("m_%d", n), "x")),
				entry(secondPage, text(2, fmt.Sprintf("s_%d", n), "x")), entry(page, text(1, fmt.Sprintf("n_%d", n), "x")))
		}
		deliver(t, w, both(1))

		bad := maps.Clone(good)
		bad["second"] = second(func(c *document.Channel) { c.Config = []byte(`{"pageID":7}`) })
		require.NoError(t, w.SetChannels(bad))
		waitExceptions(t, w, 1)
		deliver(t, w, both(2)) // the last good version goes on

		restart(t, w)
		waitExceptions(t, w, 1)
		for range 3 {
			assert.Equal(t, http.StatusServiceUnavailable, post(t, w, both(3)))
		}
		deliver(t, w, webhook(entry(page, text(1, "m_4", "x")))) // the sibling is not held up
		assert.Equal(t, []string{"m_1", "n_1", "m_2", "n_2", "m_3", "n_3", "m_4"}, stored(t, w))
		assert.Equal(t, []string{"s_1", "s_2"}, storedIn(t, w, secondChannel))

		require.NoError(t, w.SetChannels(good))
		waitExceptions(t, w, 0)
		deliver(t, w, both(3)) // the platform's next repeat
		assert.Equal(t, []string{"m_1", "n_1", "m_2", "n_2", "m_3", "n_3", "m_4"}, stored(t, w))
		assert.Equal(t, []string{"s_1", "s_2", "s_3"}, storedIn(t, w, secondChannel))
	})
}

// TestADamagedEntryThenARestart: an entry was changed behind its hash's back, so
// that nobody knows any more whose messages it takes. Whatever nobody else takes
// is left with the platform until the entry is mended; nothing that was
// acknowledged, and nothing that waits to be sent, is lost.
func TestADamagedEntryThenARestart(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		var dir string
		good := map[string]document.Channel{"messenger": messenger(), "second": second(nil)}
		w := start(t, b, func(o *processes.Options) { o.Channels, dir = good, o.Dir })
		bridges, stores := filepath.Join(dir, "bridge-documents"), filepath.Join(dir, "store-documents")
		both := func(n int) string {
			return webhook(entry(page, text(1, fmt.Sprintf("m_%d", n), "x")), entry(secondPage, text(2, fmt.Sprintf("s_%d", n), "x")))
		}
		deliver(t, w, both(1))

		damage(t, bridges)
		waitExceptions(t, w, 1)
		deliver(t, w, both(2)) // the last good version goes on
		restart(t, w)
		waitExceptions(t, w, 1)
		for range 3 {
			assert.Equal(t, http.StatusServiceUnavailable, post(t, w, both(3)))
			assert.Equal(t, http.StatusServiceUnavailable, post(t, w, webhook(entry("404", text(9, "m_404", "x")))), "it might be the damaged one's")
		}
		deliver(t, w, webhook(entry(page, text(1, "m_4", "x")))) // the sibling is not held up
		assert.Equal(t, []string{"s_1", "s_2"}, storedIn(t, w, secondChannel))

		require.NoError(t, w.SetChannels(good))
		waitExceptions(t, w, 0)
		damage(t, stores)
		for _, p := range w.Stores {
			p.Stop()
			again(t, p)
		}
		assert.Equal(t, http.StatusServiceUnavailable, post(t, w, both(3)), "the store does not know whose it is")

		require.NoError(t, w.SetChannels(good))
		eventually(t, "the platform's next repeat is taken", func(context.Context) error {
			if status := post(t, w, both(3)); status != http.StatusOK {
				return fmt.Errorf("it is answered %d", status)
			}
			return nil
		})
		assert.Equal(t, []string{"m_1", "m_2", "m_3", "m_4"}, stored(t, w))
		assert.Equal(t, []string{"s_1", "s_2", "s_3"}, storedIn(t, w, secondChannel))
	})
}

// damage makes the second channel's entry speak of another account, and leaves
// its hash as it was.
func damage(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, document.ShardFile(0))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	account := []byte(`"account":"` + secondPage + `"`)
	require.Equal(t, 1, bytes.Count(data, account))
	put(t, path, bytes.Replace(data, account, []byte(`"account":"3333333333"`), 1))
}

// TestOldBridgeNewerDocument: what a bridge does not know yet, kinds, platforms
// and fields, costs nothing that it knows, also after a restart; a document
// that it cannot read at all leaves the last one in force.
func TestOldBridgeNewerDocument(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		var dir string
		w := start(t, b, func(o *processes.Options) { dir = o.Dir })
		r := load(t, w, 1, func(accepted func(int)) {
			accepted(some)
			rewrite(t, filepath.Join(dir, "bridge-documents"), newer)
			waitExceptions(t, w, 2)
			accepted(some)
			restart(t, w)
			waitExceptions(t, w, 2)
			accepted(some)
			rewrite(t, filepath.Join(dir, "bridge-documents"), nil)
			for _, p := range w.Bridges {
				eventually(t, "the document of another major version is refused", func(context.Context) error {
					if !bytes.Contains([]byte(p.LogTail()), []byte("schemaVersion")) {
						return errors.New("nothing in the log")
					}
					return nil
				})
			}
			accepted(some)
		})
		verify(t, w, r, 1)
	})
}

// newer adds what only a later version knows.
func newer(t *testing.T, doc *document.Document) {
	t.Helper()
	for i, e := range doc.Entries {
		spec := map[string]any{}
		require.NoError(t, json.Unmarshal(e.Spec, &spec))
		spec["fieldOfALaterVersion"] = map[string]any{"a": 1}
		var err error
		doc.Entries[i], err = document.NewEntry(e.Kind, e.Name, e.Generation+1, spec)
		require.NoError(t, err)
	}
	for kind, name := range map[document.EntryKind]string{document.EntryChannel: "hologram", "kindOfALaterVersion": "thing"} {
		e, err := document.NewEntry(kind, processes.Namespace+"/"+name, 1, map[string]any{"uid": "9", "platform": "hologram", "account": page, "app": app, "receive": "webhook"})
		require.NoError(t, err)
		doc.Entries = append(doc.Entries, e)
	}
	doc.Sort()
}

// rewrite changes the document in a folder; without a change it becomes one of
// the next major version.
func rewrite(t *testing.T, dir string, change func(*testing.T, *document.Document)) {
	t.Helper()
	path := filepath.Join(dir, document.ShardFile(0))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	if change != nil {
		doc, _, err := document.Decode([][]byte{data})
		require.NoError(t, err)
		change(t, doc)
		files, err := document.Encode(doc, 1)
		require.NoError(t, err)
		data = files[0]
	} else {
		file := map[string]json.RawMessage{}
		require.NoError(t, json.Unmarshal(data, &file))
		file["schemaVersion"] = fmt.Append(nil, document.SchemaVersion+1)
		data, err = json.Marshal(file)
		require.NoError(t, err)
	}
	put(t, path, data)
}

// put replaces a file so that nobody sees half of it.
func put(t *testing.T, path string, data []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".next", data, 0o600))
	require.NoError(t, os.Rename(path+".next", path))
}
