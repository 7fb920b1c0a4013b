package standalone

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
		return nil, errors.New(withoutContent(strings.TrimSpace(err.Error()))) // its own kind carries a stack
	}
	return built, nil
}

// quoting are kustomize's errors that repeat what stands in a file. From there
// on another text stands for theirs, as that may be a credential; what comes
// before names the bases on the way. The first that is found counts.
var quoting = []struct {
	theirs *regexp.Regexp
	ours   string
}{
	{regexp.MustCompile(`loading KV pairs: literal sources`),
		"secretGenerator or configMapGenerator: one of its literals is not key=value"},
	// A path that is not there may be a literal that got under files.
	{regexp.MustCompile(`loading KV pairs: file sources`),
		"secretGenerator or configMapGenerator: one of its files cannot be read; each is a path, or key=path, of a file in this folder"},
	{regexp.MustCompile(`loading KV pairs`),
		"secretGenerator or configMapGenerator: one of its envs cannot be read; each is a file in this folder, in UTF-8, with lines of key=value"},
	{regexp.MustCompile("trouble configuring builtin PatchTransformer with config: `\\s*path: (.*)"),
		"patch ${1}: " + noPatch},
	{regexp.MustCompile(`trouble configuring builtin PatchTransformer`),
		"a patch that stands in a kustomization: " + noPatch},
	{regexp.MustCompile(`trouble configuring builtin (\w+)`),
		"the kustomization has something wrong for its ${1}"},
}

const noPatch = "is neither a strategic merge patch, which needs apiVersion, kind and metadata.name, nor a JSON patch"

// withoutContent is the text of an error without what files contain.
func withoutContent(text string) string {
	for _, q := range quoting {
		if at := q.theirs.FindStringSubmatchIndex(text); at != nil {
			return text[:at[0]] + string(q.theirs.ExpandString(nil, q.ours, text, at))
		}
	}
	return text
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
