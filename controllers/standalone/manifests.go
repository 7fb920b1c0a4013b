package standalone

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// Stdin as a path stands for the standard input.
const Stdin = "-"

// Source is where manifests come from.
type Source struct {
	// Paths are files, folders (their .yaml, .yml and .json files, not below),
	// or Stdin.
	Paths []string
	// Namespace of objects that name none.
	Namespace string
	// Stdin is the content of the standard input, read to its end.
	Stdin []byte
}

// Manifests are the objects of a Source.
type Manifests struct {
	Stores     []*v1alpha1.ConversationStore
	Bridges    []*v1alpha1.Bridge
	Channels   []*v1alpha1.Channel
	Secrets    []*corev1.Secret
	Namespaces []*corev1.Namespace
	// Notices are what was left out, for people.
	Notices []string

	// raw are our own kinds' objects as they were written, by identity, for
	// rules about changes.
	raw  map[string]map[string]any
	from map[string]string // where each object stands, by identity
}

// ManifestError is a mistake in a manifest, and where it is.
type ManifestError struct {
	File     string
	Document int    // counted from 1
	Object   string // kind and name, as far as they are known
	Message  string // begins with the field where there is one
}

func (e *ManifestError) Error() string {
	object := ""
	if e.Object != "" {
		object = " (" + e.Object + ")"
	}
	return fmt.Sprintf("%s: document %d%s: %s", e.File, e.Document, object, e.Message)
}

// Read reads and checks all manifests. previous are those in force, against
// which immutable fields are checked; nil at the start. The error joins all
// mistakes that were found, as *ManifestError.
func (s Source) Read(previous *Manifests) (*Manifests, error) {
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	m := &Manifests{raw: map[string]map[string]any{}, from: map[string]string{}}
	var errs []error
	for _, f := range files {
		content, err := f.read(s.Stdin)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, m.readFile(f, content, previous)...)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(m.Channels)+len(m.Bridges)+len(m.Stores) == 0 {
		return nil, fmt.Errorf("%s: no Channel, Bridge or ConversationStore there; folders below are not read", strings.Join(s.Paths, ", "))
	}
	return m, nil
}

// file is one file to read.
type file struct {
	path      string
	namespace string // of its objects that name none
}

func (f file) read(stdin []byte) ([]byte, error) {
	if f.path == Stdin {
		return stdin, nil
	}
	return os.ReadFile(f.path)
}

// files lists the files in a fixed order.
func (s Source) files() ([]file, error) {
	var out []file
	for _, p := range s.Paths {
		if p == Stdin {
			out = append(out, file{path: p, namespace: s.Namespace})
			continue
		}
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			out = append(out, file{path: p, namespace: s.Namespace})
			continue
		}
		inDir, err := filesOf(p, s.Namespace)
		if err != nil {
			return nil, err
		}
		out = append(out, inDir...)
	}
	return out, nil
}

func filesOf(dir, namespace string) ([]file, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	if n := kustomizedNamespace(dir); n != "" {
		namespace = n
	}
	var out []file
	for _, e := range entries {
		ext := strings.ToLower(filepath.Ext(e.Name()))
		if !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, ext) && !isKustomization(e.Name()) {
			out = append(out, file{path: filepath.Join(dir, e.Name()), namespace: namespace})
		}
	}
	return out, nil
}

// Stamp tells one state of the source's files from another without reading
// them. It changes when a file is written, added or removed.
func (s Source) Stamp() string {
	files, err := s.files()
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, f := range files {
		if info, err := os.Stat(f.path); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", f.path, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}

// add takes an object in, once.
func (m *Manifests) add(obj client.Object, identity, where string) error {
	if other := m.from[identity]; other != "" {
		return fmt.Errorf("stands in %s, too; keep one of them", other)
	}
	m.from[identity] = where
	switch o := obj.(type) {
	case *v1alpha1.ConversationStore:
		m.Stores = append(m.Stores, o)
	case *v1alpha1.Bridge:
		m.Bridges = append(m.Bridges, o)
	case *v1alpha1.Channel:
		m.Channels = append(m.Channels, o)
	case *corev1.Secret:
		m.Secrets = append(m.Secrets, o)
	case *corev1.Namespace:
		m.Namespaces = append(m.Namespaces, o)
	}
	return nil
}

// namespaceLabels are the labels of the namespaces that have a manifest.
func (m *Manifests) namespaceLabels() map[string]map[string]string {
	out := make(map[string]map[string]string, len(m.Namespaces))
	for _, n := range m.Namespaces {
		out[n.Name] = n.Labels
	}
	return out
}

func byName[T client.Object](a, b T) int {
	return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}
