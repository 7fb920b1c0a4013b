// Package documenttest makes up a second major version of documents, so that
// the way from one to the next is tested before there is one.
//
//	version 2, made up   an entry's "account" is a list, "accounts"; the file is
//	                     one object of entries by key
//	version 1            what today's pods read: Former translates to it
//
// An operator of the new version has Codecs; a pod of today has document.Codecs.
package documenttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// NextMajor is the version that is made up.
const NextMajor = document.SchemaVersion + 1

// Codecs are what code of the new version speaks, the newest first.
func Codecs() []document.Codec { return []document.Codec{next(), former()} }

type nextFile struct {
	SchemaVersion int                       `json:"schemaVersion"`
	Head          document.Document         `json:"head"`
	Items         map[string]document.Entry `json:"items"`
}

func next() document.Codec {
	return document.Codec{Major: NextMajor, Write: writeNext, Read: readNext, Salvage: func([][]byte) *document.Document { return &document.Document{} }}
}

func writeNext(doc *document.Document, n int) ([][]byte, document.Edition, error) {
	files := make([]nextFile, n)
	for i := range files {
		files[i] = nextFile{SchemaVersion: NextMajor, Items: map[string]document.Entry{}}
	}
	for _, e := range doc.Entries {
		files[document.ShardOf(e.Key(), n)].Items[e.Key()] = e
	}
	as := document.Edition{Major: NextMajor, Shards: make([]string, n), Hash: fmt.Sprintf("next-%d-%s", doc.Generation, doc.Settings)}
	for i, f := range files {
		as.Shards[i] = fmt.Sprintf("next-%d", i)
		for _, key := range slices.Sorted(maps.Keys(f.Items)) {
			as.Shards[i] += "," + f.Items[key].Hash
		}
		as.Hash += "|" + as.Shards[i]
	}
	files[0].Head = document.Document{Kind: doc.Kind, Name: doc.Name, Generation: doc.Generation, Settings: doc.Settings, Hash: as.Hash, Shards: as.Shards}
	raw := make([][]byte, n)
	for i := range files {
		var err error
		if raw[i], err = json.Marshal(files[i]); err != nil {
			return nil, as, err
		}
	}
	return raw, as, nil
}

func readNext(files [][]byte) (*document.Document, []document.Exception, error) {
	var doc document.Document
	for i := 0; i == 0 || i < len(doc.Shards); i++ {
		var f nextFile
		if files[i] == nil {
			return nil, nil, document.ErrIncomplete
		}
		if err := json.Unmarshal(files[i], &f); err != nil {
			return nil, nil, err
		}
		if i == 0 {
			doc = f.Head
		}
		doc.Entries = slices.AppendSeq(doc.Entries, maps.Values(f.Items))
	}
	doc.Sort()
	return &doc, nil, nil
}

// former translates an entry's accounts to the account that version 1 has, and
// leaves the rest to the real codec of version 1.
func former() document.Codec {
	codec := document.Codecs()[0]
	write := codec.Write
	codec.Write = func(doc *document.Document, n int) ([][]byte, document.Edition, error) {
		translated := *doc
		translated.Entries = make([]document.Entry, len(doc.Entries))
		changed := map[string]string{}
		for i, e := range doc.Entries {
			former, err := translate(e)
			if err != nil {
				return nil, document.Edition{}, err
			}
			if translated.Entries[i] = former; former.Hash != e.Hash {
				changed[e.Key()] = former.Hash
			}
		}
		files, edition, err := write(&translated, n)
		edition.Entries = changed
		return files, edition, err
	}
	return codec
}

func translate(e document.Entry) (document.Entry, error) {
	var spec map[string]any
	decoder := json.NewDecoder(bytes.NewReader(e.Spec))
	decoder.UseNumber()
	if err := decoder.Decode(&spec); err != nil {
		return e, err
	}
	accounts, ok := spec["accounts"].([]any)
	if !ok || len(accounts) == 0 {
		return e, nil
	}
	delete(spec, "accounts")
	spec["account"] = accounts[0]
	return document.NewEntry(e.Kind, e.Name, e.Generation, spec)
}
