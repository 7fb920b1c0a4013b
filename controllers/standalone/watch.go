package standalone

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// watch knows what manifests were read from, and in which state that was: files
// as they were before they were opened, so that one that changes while it is
// read counts as changed. It also knows files that were looked for in vain.
type watch struct {
	files   map[string]string // state by path
	folders map[string]string // listing by path
	seen    map[string]string // what was different when somebody looked last
}

func newWatch() *watch { return &watch{files: map[string]string{}, folders: map[string]string{}} }

// file notes a path that is about to be read.
func (w *watch) file(path string) {
	if _, known := w.files[path]; !known {
		w.files[path] = stateOf(path)
	}
}

// folder notes a folder whose manifests are about to be listed.
func (w *watch) folder(path string) { w.folders[path] = listing(path) }

// changed says whether anything is not as it was noted, and has stayed so since
// this was asked before. Who saves a file empties it first: taken at once, what is
// in half of it would be in force for a moment, a Bridge without its endpoints for
// example.
func (w *watch) changed() bool {
	before := w.seen
	w.seen = w.differences()
	return len(w.seen) > 0 && maps.Equal(before, w.seen)
}

// differences are the states of what is not as it was noted. It costs a stat per
// file and reads nothing.
func (w *watch) differences() map[string]string {
	found := map[string]string{}
	for path, state := range w.files {
		if now := stateOf(path); now != state {
			found[path] = now
		}
	}
	for path, names := range w.folders {
		if now := listing(path); now != names {
			found[path+"/"] = now
		}
	}
	return found
}

// stateOf tells one content of a file from another. A folder is told by where
// it really is (mounted Secrets are swapped by a link), not by its times: what
// an editor puts beside the manifests is nobody's business.
func stateOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "missing"
	}
	if !info.IsDir() {
		return fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "missing"
	}
	return "folder " + real
}

// listing are the names in a folder that matter.
func listing(dir string) string {
	names, err := manifestNames(dir)
	if err != nil {
		return err.Error()
	}
	return strings.Join(names, "\n")
}
