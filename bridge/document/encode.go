package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
)

// maxShardBytes is when a document is spread over twice as many shards. A
// Secret holds 1 MiB (1 048 576 bytes) of data in all, an object 1.5 MiB in
// etcd after base64; half of the limit leaves room for an uneven spread.
const maxShardBytes = 512 << 10

// file is one shard as it stands on the volume. The envelope fields are in
// shard 0 only.
type file struct {
	SchemaVersion int             `json:"schemaVersion"`
	Shard         int             `json:"shard"`
	Kind          Kind            `json:"kind,omitempty"`
	Name          string          `json:"name,omitempty"`
	Generation    int64           `json:"generation,omitempty"`
	Hash          string          `json:"hash,omitempty"`
	Shards        []string        `json:"shards,omitempty"`
	Settings      json.RawMessage `json:"settings,omitempty"`
	Entries       []Entry         `json:"entries"`
}

// ShardFile is the name of shard n on a pod's volume, e.g. "shard-03.json".
func ShardFile(n int) string { return fmt.Sprintf("shard-%02d.json", n) }

// NewEntry makes an entry with its hash.
func NewEntry(kind EntryKind, name string, generation int64, spec any) (Entry, error) {
	raw, err := json.Marshal(spec)
	if err != nil {
		return Entry{}, fmt.Errorf("%s %s: %w", kind, name, err)
	}
	e := Entry{Kind: kind, Name: name, Generation: generation, Spec: raw}
	e.Hash = e.computeHash()
	return e, nil
}

func (e Entry) computeHash() string {
	return digest(string(e.Kind), e.Name, strconv.FormatInt(e.Generation, 10), string(e.Spec))
}

// digest is a hex SHA-256 over its parts, each preceded by its length, so that
// no two lists of parts collide. 32 hex digits (128 bits) are plenty: it
// guards against mix-ups, not against an adversary who can write Secrets.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Encode writes a document as shard files of the newest major version; index i
// is the content of ShardFile(i). The result is a pure function of its arguments:
// entries are sorted, so the same resources give the same bytes. Files number at
// least minShards (what is in use already), which keeps entries where they are.
// Document.Hash and Document.Shards are set.
func Encode(doc *Document, minShards int) ([][]byte, error) {
	newest := Codecs()[:1]
	files, err := EncodeAll(doc, minShards, newest)
	return files[newest[0].Major], err
}

// write is Codec.Write of SchemaVersion.
func write(doc *Document, n int) ([][]byte, Edition, error) {
	shards := make([][]Entry, n)
	for _, e := range doc.Entries {
		i := ShardOf(e.Key(), n)
		shards[i] = append(shards[i], e)
	}
	head := Document{Kind: doc.Kind, Name: doc.Name, Generation: doc.Generation, Settings: doc.Settings, Shards: make([]string, n)}
	for i, s := range shards {
		head.Shards[i] = hashEntries(s)
	}
	head.Hash = documentHash(&head)
	files := make([][]byte, n)
	for i, s := range shards {
		f := file{SchemaVersion: SchemaVersion, Shard: i, Entries: s}
		if i == 0 {
			f.Kind, f.Name, f.Generation = head.Kind, head.Name, head.Generation
			f.Hash, f.Shards, f.Settings = head.Hash, head.Shards, head.Settings
		}
		var err error
		if files[i], err = marshal(f); err != nil {
			return nil, Edition{}, err
		}
	}
	return files, Edition{Major: SchemaVersion, Hash: head.Hash, Shards: head.Shards}, nil
}

// marshal keeps <, > and & as they are: escaping would change the bytes of a
// RawMessage and with them its hash.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// ShardOf is the shard, of n, that holds the entry with this Key.
func ShardOf(key string, n int) int {
	h := fnv.New32a()
	h.Write([]byte(key))
	return int(h.Sum32() % uint32(n)) //nolint:gosec // n is at most MaxShards
}

func hashEntries(entries []Entry) string {
	parts := make([]string, 0, 2*len(entries))
	for _, e := range entries {
		parts = append(parts, e.Key(), e.Hash)
	}
	return digest(parts...)
}

func documentHash(doc *Document) string {
	parts := []string{string(doc.Kind), doc.Name, strconv.FormatInt(doc.Generation, 10), string(doc.Settings)}
	return digest(append(parts, doc.Shards...)...)
}

// ShardOf is the index of the shard of this (encoded or decoded) document that
// holds the entry with this key.
func (d *Document) ShardOf(key string) int { return ShardOf(key, len(d.Shards)) }
