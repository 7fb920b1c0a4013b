package standalone

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// A folder with a kustomization is built with kustomize's own library, so that
// it means here what it means to "kubectl apply -k": bases, components,
// patches, generators, prefixes. Plugins, Helm charts and files outside the
// folder are refused as kubectl refuses them.

// kustomizationOf is the kustomization of a folder; empty: it has none.
func kustomizationOf(dir string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path
		}
	}
	return ""
}

func isKustomization(name string) bool {
	for _, known := range konfig.RecognizedKustomizationFileNames() {
		if name == known {
			return true
		}
	}
	return false
}

// readKustomization builds a folder and reads what comes out.
func (m *Manifests) readKustomization(f file, previous *Manifests, w *watch) []error {
	built, err := kustomize(f.path, w)
	if err != nil {
		return []error{fmt.Errorf("%s: kustomize: %w", f.path, err)}
	}
	var errs []error
	for i, resource := range built.Resources() {
		d := &manifest{file: f, number: i + 1}
		content, err := resource.AsYAML()
		if err != nil {
			errs = append(errs, d.errorf("%v", err))
			continue
		}
		errs = append(errs, m.readDocument(d, content, previous)...)
	}
	return errs
}

// kustomizing keeps builds apart: the library has global state.
var kustomizing sync.Mutex

func kustomize(dir string, w *watch) (resmap.ResMap, error) {
	kustomizing.Lock()
	defer kustomizing.Unlock()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(watchedFiles{filesys.MakeFsOnDisk(), w}, dir)
	if err != nil {
		return nil, errors.New(strings.TrimSpace(err.Error())) // its own kind carries a stack
	}
	return built, nil
}

// watchedFiles is the disk; it notes what is read from it.
type watchedFiles struct {
	filesys.FileSystem
	watch *watch
}

// ReadFile implements filesys.FileSystem.
func (f watchedFiles) ReadFile(path string) ([]byte, error) {
	f.watch.file(path)
	return f.FileSystem.ReadFile(path)
}

// CleanedAbs implements filesys.FileSystem. It is where paths are looked up
// first, also those of files that are not there.
func (f watchedFiles) CleanedAbs(path string) (filesys.ConfirmedDir, string, error) {
	f.watch.file(path)
	return f.FileSystem.CleanedAbs(path)
}
