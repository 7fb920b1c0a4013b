package standalone

import (
	"fmt"
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

// changed says whether anything is not as it was noted. It costs a stat per
// file and reads nothing.
func (w *watch) changed() bool {
	for path, state := range w.files {
		if stateOf(path) != state {
			return true
		}
	}
	for path, names := range w.folders {
		if listing(path) != names {
			return true
		}
	}
	return false
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
