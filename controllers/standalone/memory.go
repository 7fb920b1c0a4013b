package standalone

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

const (
	// memoryFile and memoryLock stand beside the folders of the namespaces; no
	// namespace has a dot in its name.
	memoryFile = "documents.json"
	memoryLock = "documents.lock"
	newSuffix  = ".new-"

	// memoryVersion is the version of the file's format.
	memoryVersion = 1
)

// remembered is what an API server would have kept while this process did not
// run: the objects as they were compiled last, what was added to them, and the
// documents that were made of them. It holds the credentials of all channels.
type remembered struct {
	Version int `json:"version"`

	Stores   []*v1alpha1.ConversationStore `json:"stores"`
	Bridges  []*v1alpha1.Bridge            `json:"bridges"`
	Channels []*v1alpha1.Channel           `json:"channels"`
	// Records by identity ("Channel/shop/bot").
	Records   map[string]record    `json:"records"`
	Documents []rememberedDocument `json:"documents"`
}

// stores are the ConversationStores as they were, against which changes made
// while nobody ran are checked: a store's backend never changes. A Channel of
// another account is no such change: it may be another Channel of that name.
func (r *remembered) stores() *Manifests {
	m := &Manifests{raw: map[string]map[string]any{}, from: map[string]string{}}
	for _, st := range r.Stores {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(st)
		if err != nil {
			continue // it was read from JSON: it can be written as such
		}
		m.raw["ConversationStore/"+st.Namespace+"/"+st.Name] = content
	}
	return m
}

// record is what an API server and the operator add to one object.
type record struct {
	UID types.UID `json:"uid"`
	// Spec is a hash of the spec that has this Generation.
	Spec       string    `json:"spec"`
	Generation int64     `json:"generation"`
	Since      time.Time `json:"since"`
	// Accepted: a Channel that has its account keeps it against later ones.
	Accepted bool `json:"accepted,omitempty"`
	// Left is when a Channel vanished from the files, while its webhook is still
	// to be removed.
	Left time.Time `json:"left,omitzero"`
}

// rememberedDocument is a document as a pod's volume would have it.
type rememberedDocument struct {
	Kind   document.Kind     `json:"kind"`
	Name   string            `json:"name"`
	Shards []json.RawMessage `json:"shards"`
}

// memory is the file that outlives the process, and the lock on its folder.
type memory struct {
	path string
	lock *os.File
	last [sha256.Size]byte // of what stands on the disk
}

// openMemory takes the data folder for this process alone. The kernel drops
// the lock with the process, however it ends.
func openMemory(data string) (*memory, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w; name another with --data", err)
	}
	lock, err := os.OpenFile(filepath.Join(data, memoryLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w; name another with --data", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data folder %s is in use by another standalone: stop it first, or give this one a folder of its own with --data", data)
		}
		return nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	m := &memory{path: filepath.Join(data, memoryFile), lock: lock}
	left, _ := filepath.Glob(m.path + newSuffix + "*") // the pattern is right
	for _, path := range left {                        // of a process that was killed
		if err := os.Remove(path); err != nil {
			return nil, errors.Join(err, m.close())
		}
	}
	return m, nil
}

func (m *memory) close() error { return m.lock.Close() }

// load reads what the process before remembered; nil when there was none. A
// file that cannot be read is put aside, and the error says so.
func (m *memory) load() (*remembered, error) {
	content, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var r remembered
	if err == nil {
		err = json.Unmarshal(content, &r)
	}
	if err == nil && r.Version != memoryVersion {
		err = fmt.Errorf("it has version %d, this build reads %d", r.Version, memoryVersion)
	}
	if err == nil {
		m.last = sha256.Sum256(content)
		return &r, nil
	}
	aside := m.path + ".damaged"
	if moved := os.Rename(m.path, aside); moved != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", m.path, errors.Join(err, moved))
	}
	return nil, fmt.Errorf("%s cannot be read, it is kept as %s: %w", m.path, filepath.Base(aside), err)
}

// save writes what changed: a file beside, flushed, then renamed, so that a
// power cut leaves the old one or the new one.
func (m *memory) save(r *remembered) error {
	content, err := json.Marshal(r)
	sum := sha256.Sum256(content)
	if err != nil || sum == m.last {
		return err
	}
	if err := replaceFile(m.path, content); err != nil {
		return err
	}
	m.last = sum
	return nil
}

func replaceFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+newSuffix+"*") // its mode is 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// remember is what has to outlive the process.
func (w *world) remember() (*remembered, error) {
	r := &remembered{Version: memoryVersion, Records: w.records}
	for _, key := range sortedKeys(w.objects.stores) {
		r.Stores = append(r.Stores, w.objects.stores[key])
	}
	for _, key := range sortedKeys(w.objects.bridges) {
		r.Bridges = append(r.Bridges, w.objects.bridges[key])
	}
	for _, key := range sortedKeys(w.objects.channels) {
		r.Channels = append(r.Channels, w.objects.channels[key])
	}
	for _, docs := range []map[compile.Key]*document.Document{w.previousStores, w.previousBridges} {
		for _, key := range sortedKeys(docs) {
			kept := *docs[key] // Encode sets hashes, and who runs on the document reads them
			files, err := document.Encode(&kept, len(kept.Shards))
			if err != nil {
				return nil, err
			}
			d := rememberedDocument{Kind: kept.Kind, Name: kept.Name}
			for _, f := range files {
				d.Shards = append(d.Shards, json.RawMessage(f))
			}
			r.Documents = append(r.Documents, d)
		}
	}
	return r, nil
}

// recall takes up what the process before remembered. problems are documents
// that are damaged; what can be read of them counts.
func (w *world) recall(r *remembered) (problems []error) {
	for _, o := range r.Stores {
		w.objects.stores[keyOf(o)] = o
	}
	for _, o := range r.Bridges {
		w.objects.bridges[keyOf(o)] = o
	}
	for _, o := range r.Channels {
		w.objects.channels[keyOf(o)] = o
	}
	if r.Records != nil {
		w.records = r.Records
	}
	for _, d := range r.Documents {
		files := make([][]byte, len(d.Shards))
		for i, shard := range d.Shards {
			files[i] = shard
		}
		doc, exceptions, err := document.Decode(files)
		if err != nil {
			doc = document.Salvage(files)
		}
		if err != nil || len(exceptions) > 0 {
			problems = append(problems, fmt.Errorf("the document of %s %s is damaged; what can be read of it counts", d.Kind, d.Name))
			doc.Damaged = nil
			_, _ = document.Encode(doc, 1) // for the hashes of what is left, which is less than what fitted
		}
		namespace, name, _ := strings.Cut(d.Name, "/")
		key := compile.Key{Namespace: namespace, Name: name}
		if d.Kind == document.KindStore {
			w.previousStores[key] = doc
		} else {
			w.previousBridges[key] = doc
		}
	}
	return problems
}
