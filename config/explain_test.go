package config_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/config/crd"
)

func customResources(t *testing.T) []*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	files, err := crd.Bases.ReadDir("bases")
	require.NoError(t, err)
	var out []*apiextensionsv1.CustomResourceDefinition
	for _, f := range files {
		content, err := crd.Bases.ReadFile("bases/" + f.Name())
		require.NoError(t, err)
		d := &apiextensionsv1.CustomResourceDefinition{}
		require.NoError(t, yaml.UnmarshalStrict(content, d))
		out = append(out, d)
	}
	require.NotEmpty(t, out)
	return out
}

// Whoever asks "kubectl explain" about any field of ours learns more than its
// name says.
func TestEveryFieldIsExplained(t *testing.T) {
	for _, d := range customResources(t) {
		for _, v := range d.Spec.Versions {
			schema := v.Schema.OpenAPIV3Schema
			assert.NotEmpty(t, schema.Description, d.Name)
			walk(schema, d.Spec.Names.Singular, func(path, name string, field *apiextensionsv1.JSONSchemaProps) {
				explained(t, path, name, field)
			})
		}
	}
}

// walk calls visit for every field below a schema. What every resource has is
// Kubernetes' own to explain.
func walk(s *apiextensionsv1.JSONSchemaProps, path string, visit func(path, name string, field *apiextensionsv1.JSONSchemaProps)) {
	for name, field := range s.Properties {
		if !strings.Contains(path, ".") && (name == "metadata" || name == "apiVersion" || name == "kind") {
			continue
		}
		below := path + "." + name
		visit(below, name, &field)
		walk(&field, below, visit)
	}
	if s.Items != nil && s.Items.Schema != nil {
		walk(s.Items.Schema, path+"[]", visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		walk(s.AdditionalProperties.Schema, path+"{}", visit)
	}
}

var (
	word  = regexp.MustCompile(`[A-Za-z]+`)
	empty = map[string]bool{
		"the": true, "a": true, "an": true, "of": true, "is": true, "its": true, "this": true, "for": true, "in": true, "to": true, "s": true, "name": true, "field": true, "value": true,
	}
)

// explained wants a description whose words are more than those of the name.
func explained(t *testing.T, path, name string, field *apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	if !assert.NotEmpty(t, field.Description, path) {
		return
	}
	assert.NotRegexp(t, `(?i)\bTODO\b|\+kubebuilder|\+optional`, field.Description, path)
	known := strings.ToLower(name)
	news := 0
	for _, w := range word.FindAllString(strings.ToLower(field.Description), -1) {
		if !empty[w] && !strings.Contains(known, w) {
			news++
		}
	}
	assert.GreaterOrEqual(t, news, 2, "%s: %q says no more than the name", path, field.Description)
}

// What has no status yet is in progress for whoever follows kstatus: the status
// begins with a generation that cannot be.
func TestANewResourceIsInProgress(t *testing.T) {
	for _, d := range customResources(t) {
		for _, v := range d.Spec.Versions {
			status := v.Schema.OpenAPIV3Schema.Properties["status"]
			require.NotNil(t, status.Default, d.Name)
			assert.JSONEq(t, `{"observedGeneration":-1}`, string(status.Default.Raw), d.Name)
		}
	}
}
