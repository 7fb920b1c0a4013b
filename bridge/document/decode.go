package document

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrIncomplete means that the files are not one document yet: a shard is
// missing or of another version. The caller keeps what it has and looks again.
var ErrIncomplete = errors.New("document is incomplete")

// Decode reads a document from shard files (index i is ShardFile(i); nil where
// there is none). It fails as a whole when the envelope is malformed, of an
// unknown schema version, or does not match the shards; it does not look into
// the specs of entries. The returned entries carry verified hashes; entries
// whose own hash is wrong are returned as exceptions.
func Decode(files [][]byte) (*Document, []Exception, error) {
	if len(files) == 0 || files[0] == nil {
		return nil, nil, fmt.Errorf("%w: %s is not there", ErrIncomplete, ShardFile(0))
	}
	head, err := decodeFile(files[0], 0)
	if err != nil {
		return nil, nil, err
	}
	if len(head.Shards) == 0 || len(head.Shards) > MaxShards {
		return nil, nil, fmt.Errorf("%s: names %d shards, want 1 to %d", ShardFile(0), len(head.Shards), MaxShards)
	}
	doc := &Document{Kind: head.Kind, Name: head.Name, Generation: head.Generation, Shards: head.Shards, Settings: head.Settings}
	if doc.Hash = documentHash(doc); doc.Hash != head.Hash {
		return nil, nil, fmt.Errorf("%s: hash is %s, content says %s", ShardFile(0), head.Hash, doc.Hash)
	}
	var exceptions []Exception
	for i, want := range head.Shards {
		shard := head
		if i > 0 {
			if i >= len(files) || files[i] == nil {
				return nil, nil, fmt.Errorf("%w: %s is not there", ErrIncomplete, ShardFile(i))
			}
			if shard, err = decodeFile(files[i], i); err != nil {
				return nil, nil, err
			}
		}
		if got := hashEntries(shard.Entries); got != want {
			return nil, nil, fmt.Errorf("%w: %s is %s, %s names %s", ErrIncomplete, ShardFile(i), got, ShardFile(0), want)
		}
		for _, e := range shard.Entries {
			if e.computeHash() != e.Hash {
				exceptions = append(exceptions, Exception{Entry: e.Key(), Generation: e.Generation, Hash: e.Hash, Message: "content does not match its hash; the Secret was changed by hand or damaged"})
				continue
			}
			doc.Entries = append(doc.Entries, e)
		}
	}
	doc.Damaged = exceptions
	doc.Sort() // shards hold a part of the order each; Find wants the whole
	return doc, exceptions, nil
}

// Salvage reads what can be read of a document that Decode refuses: every
// intact entry of every readable shard. Its Hash is empty, so it is never taken
// for one that is in force.
func Salvage(files [][]byte) *Document {
	doc := &Document{}
	for i, data := range files {
		if data == nil {
			continue
		}
		f, err := decodeFile(data, i)
		if err != nil {
			continue
		}
		if i == 0 {
			doc.Kind, doc.Name, doc.Generation, doc.Settings, doc.Shards = f.Kind, f.Name, f.Generation, f.Settings, f.Shards
		}
		for _, e := range f.Entries {
			if e.computeHash() == e.Hash {
				doc.Entries = append(doc.Entries, e)
			}
		}
	}
	doc.Sort()
	return doc
}

func decodeFile(data []byte, n int) (*file, error) {
	var version struct {
		SchemaVersion int `json:"schemaVersion"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, fmt.Errorf("%s: %w", ShardFile(n), err)
	}
	if version.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("%s: schemaVersion %d, this version reads %d", ShardFile(n), version.SchemaVersion, SchemaVersion)
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", ShardFile(n), err)
	}
	if f.Shard != n {
		return nil, fmt.Errorf("%s: holds shard %d", ShardFile(n), f.Shard)
	}
	return &f, nil
}
