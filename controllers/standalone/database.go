package standalone

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// dsnFile is the file that the store of a postgres backend connects with; the
// others of its Secret stand beside it, as they do in a pod.
func dsnFile(data string, store compile.Key) string {
	return filepath.Join(storeDir(data, store), "postgres", "dsn")
}

// keepDatabase writes the values of a postgres store's Secret to files, which
// the store follows. The connection string comes last: what it needs is there
// then. Without values what is there stays.
func keepDatabase(dsn string, values map[string]string) error {
	if values == nil {
		return nil
	}
	dir := filepath.Dir(dsn)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(values))
	names = append(slices.DeleteFunc(names, func(n string) bool { return n == filepath.Base(dsn) }), filepath.Base(dsn))
	for _, name := range names {
		path, content := filepath.Join(dir, name), []byte(values[name])
		before, err := os.ReadFile(path)
		if err == nil && bytes.Equal(before, content) {
			continue
		}
		if err := replaceFile(path, content); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.Contains(names, e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
