package standalone

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	sigsjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
)

// kinds are what standalone runs on; other kinds are left out with a notice.
var kinds = map[string]func() client.Object{
	v1alpha1.GroupVersion.String() + "/ConversationStore": func() client.Object { return &v1alpha1.ConversationStore{} },
	v1alpha1.GroupVersion.String() + "/Bridge":            func() client.Object { return &v1alpha1.Bridge{} },
	v1alpha1.GroupVersion.String() + "/Channel":           func() client.Object { return &v1alpha1.Channel{} },
	v1alpha1.GroupVersion.String() + "/Schedule":          func() client.Object { return &v1alpha1.Schedule{} },
	v1alpha1.GroupVersion.String() + "/AgentQueue":        func() client.Object { return &v1alpha1.AgentQueue{} },
	v1alpha1.GroupVersion.String() + "/Bot":               func() client.Object { return &v1alpha1.Bot{} },
	v1alpha1.GroupVersion.String() + "/RoutingPolicy":     func() client.Object { return &v1alpha1.RoutingPolicy{} },
	v1alpha1.GroupVersion.String() + "/SurveyCampaign":    func() client.Object { return &v1alpha1.SurveyCampaign{} },
	"v1/Secret":    func() client.Object { return &corev1.Secret{} },
	"v1/Namespace": func() client.Object { return &corev1.Namespace{} },
}

func (m *Manifests) readFile(f file, content []byte, previous *Manifests) []error {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	var errs []error
	for n := 1; ; n++ {
		source, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return errs
		}
		d := &manifest{file: f, number: n}
		if err != nil {
			return append(errs, d.errorf("%v", err))
		}
		errs = append(errs, m.readDocument(d, source, previous)...)
	}
}

// manifest is one object of a file.
type manifest struct {
	file   file
	number int
	object string
}

func (d *manifest) errorf(format string, args ...any) error {
	return &ManifestError{File: d.file.path, Document: d.number, Object: d.object, Message: fmt.Sprintf(format, args...)}
}

// readDocument reads one YAML document: nothing, an object, or a List of them.
func (m *Manifests) readDocument(d *manifest, source []byte, previous *Manifests) []error {
	asJSON, err := yaml.YAMLToJSONStrict(source)
	if err != nil {
		return []error{d.errorf("%s", strings.TrimPrefix(err.Error(), "yaml: "))}
	}
	var content map[string]any
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(asJSON, &content); err != nil {
		return []error{d.errorf("is not an object with apiVersion, kind and metadata")}
	}
	if len(content) == 0 {
		return nil // only comments
	}
	items, isList := content["items"].([]any)
	if !isList || !strings.HasSuffix(text(content, "kind"), "List") {
		return m.readObject(d, content, previous)
	}
	var errs []error
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			errs = append(errs, m.readObject(&manifest{file: d.file, number: d.number}, object, previous)...)
		}
	}
	return errs
}

func text(content map[string]any, key string) string {
	s, _ := content[key].(string)
	return s
}

func (m *Manifests) readObject(d *manifest, content map[string]any, previous *Manifests) []error {
	apiVersion, kind := text(content, "apiVersion"), text(content, "kind")
	if apiVersion == "" || kind == "" {
		return []error{d.errorf("apiVersion and kind are needed")}
	}
	d.object = kind
	newObject := kinds[apiVersion+"/"+kind]
	if newObject == nil {
		return m.leaveOut(d, apiVersion, kind)
	}
	obj := newObject()
	if err := d.identify(content, obj); err != nil {
		return []error{err}
	}
	identity := strings.Join([]string{kind, text(metadataOf(content), "namespace"), text(metadataOf(content), "name")}, "/")
	if err := d.decode(content, obj, previousOf(previous, identity)); err != nil {
		return err
	}
	m.raw[identity] = content
	if err := m.add(obj, identity, fmt.Sprintf("%s, document %d", d.file.path, d.number)); err != nil {
		return []error{d.errorf("%v", err)}
	}
	return nil
}

// leaveOut notes a kind that standalone does not run. One of our own group is a
// mistake: it would be silently without effect.
func (m *Manifests) leaveOut(d *manifest, apiVersion, kind string) []error {
	if strings.HasPrefix(apiVersion, v1alpha1.GroupVersion.Group+"/") {
		return []error{d.errorf("apiVersion %s has no kind %s in this version; known are ConversationStore, Bridge, Channel, RoutingPolicy, AgentQueue, Bot, Schedule and SurveyCampaign of %s",
			apiVersion, kind, v1alpha1.GroupVersion)}
	}
	m.Notices = append(m.Notices, fmt.Sprintf("%s: document %d: %s %s is not run without a cluster; left out", d.file.path, d.number, apiVersion, kind))
	return nil
}

func previousOf(previous *Manifests, identity string) map[string]any {
	if previous == nil {
		return nil
	}
	return previous.raw[identity]
}

func metadataOf(content map[string]any) map[string]any {
	meta, _ := content["metadata"].(map[string]any)
	return meta
}

// identify checks name and namespace, and sets the namespace where it is left out.
func (d *manifest) identify(content map[string]any, obj client.Object) error {
	meta := metadataOf(content)
	name := text(meta, "name")
	if name == "" {
		return d.errorf("metadata.name is needed")
	}
	namespace := text(meta, "namespace")
	if _, clusterWide := obj.(*corev1.Namespace); clusterWide {
		namespace = ""
	} else if namespace == "" {
		namespace = d.file.namespace
		meta["namespace"] = namespace
	}
	d.object += " " + strings.TrimPrefix(namespace+"/"+name, "/")
	for field, problems := range map[string][]string{
		"metadata.name":      apivalidation.NameIsDNSSubdomain(name, false),
		"metadata.namespace": namespaceProblems(namespace),
	} {
		if len(problems) > 0 {
			return d.errorf("%s: %s", field, strings.Join(problems, "; "))
		}
	}
	return nil
}

func namespaceProblems(namespace string) []string {
	if namespace == "" {
		return nil
	}
	return utilvalidation.IsDNS1123Label(namespace)
}

// decode checks and decodes an object. Unknown fields come first: a mistyped
// field explains the one that is missing.
func (d *manifest) decode(content map[string]any, obj client.Object, old map[string]any) []error {
	asJSON, err := json.Marshal(content)
	if err != nil {
		return []error{d.errorf("%v", err)}
	}
	unknown, typeErr := sigsjson.UnmarshalStrict(asJSON, obj)
	var errs []error
	for _, err := range unknown {
		errs = append(errs, d.errorf("%v", err))
	}
	if _, own := obj.(conditions.Object); own {
		s, err := schemaOf(text(content, "kind"))
		if err != nil {
			return append(errs, err)
		}
		for _, e := range s.check(context.Background(), content, old) {
			errs = append(errs, d.errorf("%s", e.Error()))
		}
	}
	if typeErr != nil && len(errs) == 0 {
		errs = append(errs, d.errorf("%s", explain(obj, typeErr)))
	}
	if secret, ok := obj.(*corev1.Secret); ok && len(errs) == 0 {
		mergeStringData(secret)
	}
	return errs
}

func explain(obj client.Object, err error) string {
	if _, ok := obj.(*corev1.Secret); ok && strings.Contains(err.Error(), "base64") {
		return "data: the values must be base64; write plain text under stringData"
	}
	return err.Error()
}

// mergeStringData does what the API server does.
func mergeStringData(s *corev1.Secret) {
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	for _, k := range slices.Sorted(maps.Keys(s.StringData)) {
		s.Data[k] = []byte(s.StringData[k])
	}
	s.StringData = nil
}
