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
	// Paths are files, folders (their .yaml, .yml and .json files, not below; or
	// what their kustomization says), or Stdin.
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
	Routing    Routing
	Secrets    []*corev1.Secret
	Namespaces []*corev1.Namespace
	// Notices are what was left out, for people.
	Notices []string

	// raw are our own kinds' objects as they were written, by identity, for
	// rules about changes.
	raw  map[string]map[string]any
	from map[string]string // where each object stands, by identity
}

// Routing are the objects that say who gets a conversation, and whom to ask
// about it.
type Routing struct {
	Schedules []*v1alpha1.Schedule
	Queues    []*v1alpha1.AgentQueue
	Bots      []*v1alpha1.Bot
	Policies  []*v1alpha1.RoutingPolicy
	Campaigns []*v1alpha1.SurveyCampaign
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

// Objects reads and checks manifests that need not be enough to run, such as a
// policy alone.
func (s Source) Objects() (*Manifests, error) { return s.objects(nil, newWatch()) }

// read reads and checks all manifests. previous are those in force, against
// which immutable fields are checked; nil at the start. The error joins all
// mistakes that were found, as *ManifestError where they are in a manifest. w is
// told what it looks at, also when it fails.
func (s Source) read(previous *Manifests, w *watch) (*Manifests, error) {
	m, err := s.objects(previous, w)
	if err != nil {
		return nil, err
	}
	if len(m.Channels)+len(m.Bridges)+len(m.Stores) == 0 {
		return nil, s.nothing()
	}
	return m, nil
}

// nothing is the error for manifests of which none could run. What is most often
// forgotten about folders is said where one was given.
func (s Source) nothing() error {
	names, hint := slices.Clone(s.Paths), ""
	for i, p := range names {
		if p == Stdin {
			names[i] = "standard input"
		} else if info, err := os.Stat(p); err == nil && info.IsDir() {
			hint = "; folders below are read only when a kustomization names them"
		}
	}
	return fmt.Errorf("%s: no Channel, Bridge or ConversationStore there%s", strings.Join(names, ", "), hint)
}

func (s Source) objects(previous *Manifests, w *watch) (*Manifests, error) {
	files, err := s.files(w)
	if err != nil {
		return nil, err
	}
	m := &Manifests{raw: map[string]map[string]any{}, from: map[string]string{}}
	var errs []error
	for _, f := range files {
		if f.kustomized {
			errs = append(errs, m.readKustomization(f, previous, w)...)
			continue
		}
		content, err := f.read(s.Stdin, w)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, m.readFile(f, content, previous)...)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return m, nil
}

// file is one file to read, or one folder to build.
type file struct {
	path       string
	namespace  string // of its objects that name none
	kustomized bool   // path is a folder with a kustomization
}

func (f file) read(stdin []byte, w *watch) ([]byte, error) {
	if f.path == Stdin {
		return stdin, nil
	}
	w.file(f.path)
	return os.ReadFile(f.path)
}

// files lists the files in a fixed order.
func (s Source) files(w *watch) ([]file, error) {
	var out []file
	for _, p := range s.Paths {
		if p == Stdin {
			out = append(out, file{path: p, namespace: s.Namespace})
			continue
		}
		w.file(p)
		info, err := os.Stat(p)
		switch {
		case err != nil:
			return nil, fmt.Errorf("-f: %w; name a file or a folder of manifests, or - for the standard input", err)
		case !info.IsDir() && isKustomization(filepath.Base(p)):
			return nil, fmt.Errorf("%s is a kustomization: give its folder, -f %s", p, filepath.Dir(p))
		case !info.IsDir():
			out = append(out, file{path: p, namespace: s.Namespace})
			continue
		}
		w.folder(p)
		if kustomizationOf(p) != "" {
			out = append(out, file{path: p, namespace: s.Namespace, kustomized: true})
			continue
		}
		names, err := manifestNames(p)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			out = append(out, file{path: filepath.Join(p, name), namespace: s.Namespace})
		}
	}
	return out, nil
}

// manifestNames are the files of a folder that hold manifests, sorted. Where
// there is a kustomization it is the only one: it names the others.
func manifestNames(dir string) ([]string, error) {
	if k := kustomizationOf(dir); k != "" {
		return []string{filepath.Base(k)}, nil
	}
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		ext := strings.ToLower(filepath.Ext(e.Name()))
		if !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, ext) {
			out = append(out, e.Name())
		}
	}
	return out, nil
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
	case *v1alpha1.Schedule:
		m.Routing.Schedules = append(m.Routing.Schedules, o)
	case *v1alpha1.AgentQueue:
		m.Routing.Queues = append(m.Routing.Queues, o)
	case *v1alpha1.Bot:
		m.Routing.Bots = append(m.Routing.Bots, o)
	case *v1alpha1.RoutingPolicy:
		m.Routing.Policies = append(m.Routing.Policies, o)
	case *v1alpha1.SurveyCampaign:
		m.Routing.Campaigns = append(m.Routing.Campaigns, o)
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
