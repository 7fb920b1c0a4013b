package document

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Codec writes and reads one major version of the files. A Document in memory
// is of the newest one; the codec of an older one translates both ways.
type Codec struct {
	Major int
	// Write spreads a document, whose entries are sorted, over n shard files and
	// says as what pods of this version confirm them.
	Write func(doc *Document, n int) ([][]byte, Edition, error)
	// Read is Decode for files of this version.
	Read func(files [][]byte) (*Document, []Exception, error)
	// Salvage is Salvage for files of this version.
	Salvage func(files [][]byte) *Document
}

// Edition is what a pod confirms that runs a document in one major version.
type Edition struct {
	Major  int
	Hash   string
	Shards []string
	// Entries are the hashes of entries, by key, that differ from those of the
	// newest version.
	Entries map[string]string
}

// Codecs are the major versions that this code speaks, the newest first.
//
// For a new one, put its codec in front. Pods then read the newest version that
// they find, pod templates declare the files of all of them, and the operator
// writes all of them until every pod speaks the newest. Once no pod can speak
// the older one alone any more, take its codec out.
func Codecs() []Codec {
	return []Codec{{Major: SchemaVersion, Write: write, Read: Decode, Salvage: Salvage}}
}

// Majors are the major versions that this code speaks, ascending: what a pod
// says in Status.SchemaVersions.
func Majors() []int {
	var majors []int
	for _, c := range Codecs() {
		majors = append(majors, c.Major)
	}
	slices.Sort(majors)
	return majors
}

// ShardKey is the key of a shard of a major version in its Secret. All versions
// share the Secrets.
func ShardKey(major int) string {
	if major == 1 {
		return "shard.json"
	}
	return fmt.Sprintf("shard.v%d.json", major)
}

// ShardPath is the name of shard n of a major version on a pod's volume;
// ShardFile is that of the first.
func ShardPath(major, n int) string {
	if major == 1 {
		return ShardFile(n)
	}
	return fmt.Sprintf("shard-%02d.v%d.json", n, major)
}

// secretBytes is what a Secret holds in all, less the names of its keys.
const secretBytes = 1<<20 - 4<<10

// EncodeAll writes a document in several major versions, the newest first, all
// spread over the same number of shards: files by major version, then as Encode.
// Document.Hash and Shards are set to those of the newest version, Editions to
// what pods of the others confirm.
func EncodeAll(doc *Document, minShards int, codecs []Codec) (map[int][][]byte, error) {
	sorted := *doc
	sorted.Entries = slices.Clone(doc.Entries)
	sort.Slice(sorted.Entries, func(i, j int) bool { return sorted.Entries[i].Key() < sorted.Entries[j].Key() })
	for i := 1; i < len(sorted.Entries); i++ {
		if sorted.Entries[i].Key() == sorted.Entries[i-1].Key() {
			return nil, fmt.Errorf("document %s: two entries %s", doc.Name, sorted.Entries[i].Key())
		}
	}
	for n := 1; n <= MaxShards; n *= 2 {
		if n < minShards {
			continue
		}
		files, editions, fits, err := encodeInto(&sorted, n, codecs)
		if err != nil {
			return nil, err
		}
		if fits {
			doc.Hash, doc.Shards, doc.Editions = editions[0].Hash, editions[0].Shards, editions[1:]
			return files, nil
		}
	}
	return nil, fmt.Errorf("document %s: %d entries do not fit in %d shards of 1 MiB; spread the channels over several Bridges", doc.Name, len(doc.Entries), MaxShards)
}

func encodeInto(doc *Document, n int, codecs []Codec) (files map[int][][]byte, editions []Edition, fits bool, err error) {
	limit := maxShardBytes
	if n == MaxShards {
		limit = secretBytes // the last size: use the whole Secret
	}
	files = make(map[int][][]byte, len(codecs))
	size := make([]int, n)
	for _, c := range codecs {
		shards, edition, err := c.Write(doc, n)
		if err != nil {
			return nil, nil, false, fmt.Errorf("document %s: %w", doc.Name, err)
		}
		for i, data := range shards {
			size[i] += len(data)
		}
		files[c.Major], editions = shards, append(editions, edition)
	}
	return files, editions, slices.Max(size) <= limit, nil
}

// Load reads the document in a pod's folder in the newest of the major versions
// that is there. What of a newer one than these lies beside it is not looked at.
func Load(dir string, codecs []Codec) (*Document, []Exception, error) {
	for i, c := range codecs {
		files, err := readDir(dir, c.Major)
		if err != nil {
			return nil, nil, err
		}
		if files[0] != nil || i == len(codecs)-1 {
			return c.Read(files)
		}
	}
	return nil, nil, errors.New("no codecs")
}

// readDir reads the shard files of one major version as a pod's volume shows them.
func readDir(dir string, major int) ([][]byte, error) {
	files := make([][]byte, MaxShards)
	for i := range files {
		data, err := os.ReadFile(filepath.Join(dir, ShardPath(major, i)))
		switch {
		case err == nil:
			files[i] = data
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return files, nil
}

// Confirms says whether a pod with this hash runs the document, in whatever
// major version.
func (d *Document) Confirms(hash string) bool {
	if hash == "" || hash == d.Hash {
		return hash != ""
	}
	return slices.ContainsFunc(d.Editions, func(e Edition) bool { return e.Hash == hash })
}

// Translate puts the hashes of the newest major version in the place of those
// that a pod of an older one confirms. What is about another document stays. The
// status and its lists are copied, not changed.
func (d *Document) Translate(s Status) Status {
	for _, e := range d.Editions {
		if s.Hash != "" && s.Hash == e.Hash {
			s.Hash = d.Hash
		}
		if len(s.Shards) == len(e.Shards) {
			s.Shards = slices.Clone(s.Shards)
			for i := range s.Shards {
				if s.Shards[i] == e.Shards[i] {
					s.Shards[i] = d.Shards[i]
				}
			}
		}
		s.Exceptions = slices.Clone(s.Exceptions)
		for i := range s.Exceptions {
			x := &s.Exceptions[i]
			x.Hash, x.RunningHash = d.entryHash(e, x.Entry, x.Hash), d.entryHash(e, x.Entry, x.RunningHash)
		}
	}
	return s
}

// TranslateRow does the same for a row.
func (d *Document) TranslateRow(r ChannelStatus) ChannelStatus {
	for _, e := range d.Editions {
		r.Hash = d.entryHash(e, r.Entry, r.Hash)
	}
	return r
}

// entryHash is the newest version's hash of an entry, given that of an edition.
func (d *Document) entryHash(e Edition, key, hash string) string {
	if hash == "" || e.Entries[key] != hash {
		return hash
	}
	kind, name, _ := strings.Cut(key, "/")
	if found, ok := d.Find(EntryKind(kind), name); ok {
		return found.Hash
	}
	return hash
}
