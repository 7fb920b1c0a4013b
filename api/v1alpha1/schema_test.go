package v1alpha1_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// maxCRDBytes is what an annotation can hold: client-side apply keeps a copy of
// the object in one.
const maxCRDBytes = 256 << 10

func crd(t *testing.T, kind string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(crdDir, "bridgekeeper.dev_"+resources[kind]+".yaml"))
	require.NoError(t, err)
	c := &apiextensionsv1.CustomResourceDefinition{}
	require.NoError(t, yaml.UnmarshalStrict(raw, c))
	return c
}

func schemaOf(t *testing.T, kind string) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	versions := crd(t, kind).Spec.Versions
	require.Len(t, versions, 1)
	return versions[0].Schema.OpenAPIV3Schema
}

// foreign are parts of the schemas that are Kubernetes' own types.
var foreign = regexp.MustCompile(`^(metadata|apiVersion$|kind$)|\.conditions\[\]|\.resources\.`)

// walk visits a schema and everything within it by dotted path; elements of a
// list have [] and values of a map {} at their end.
func walk(s *apiextensionsv1.JSONSchemaProps, visit func(path string, s *apiextensionsv1.JSONSchemaProps)) {
	var step func(path string, s *apiextensionsv1.JSONSchemaProps)
	step = func(path string, s *apiextensionsv1.JSONSchemaProps) {
		visit(path, s)
		for name, p := range s.Properties {
			step(strings.TrimPrefix(path+"."+name, "."), &p)
		}
		if s.Items != nil && s.Items.Schema != nil {
			step(path+"[]", s.Items.Schema)
		}
		if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
			step(path+"{}", s.AdditionalProperties.Schema)
		}
	}
	step("", s)
}

// constraints names everything in a schema that refuses something.
func constraints(root *apiextensionsv1.JSONSchemaProps) []string {
	var found []string
	walk(root, func(path string, s *apiextensionsv1.JSONSchemaProps) {
		if foreign.MatchString(path) {
			return
		}
		add := func(is bool, name string) {
			if is {
				found = append(found, strings.TrimSpace(path+" "+name))
			}
		}
		add(s.Minimum != nil, "minimum")
		add(s.Maximum != nil, "maximum")
		add(s.MinLength != nil, "minLength")
		add(s.MaxLength != nil, "maxLength")
		add(s.Pattern != "", "pattern")
		add(len(s.Enum) > 0, "enum")
		add(s.MinItems != nil, "minItems")
		add(s.MaxItems != nil, "maxItems")
		add(s.MinProperties != nil, "minProperties")
		add(s.MaxProperties != nil, "maxProperties")
		add(s.XListType != nil && *s.XListType != "atomic", "list")
		for _, r := range s.Required {
			add(true, "required "+r)
		}
		for _, v := range s.XValidations {
			add(true, "rule: "+v.Message)
		}
	})
	slices.Sort(found)
	return found
}

// TestEveryConstraintHasARow keeps the tables of rules complete, in both directions.
func TestEveryConstraintHasARow(t *testing.T) {
	for kind, rules := range map[string][]rule{"ConversationStore": storeRules, "Bridge": bridgeRules, "Channel": channelRules} {
		t.Run(kind, func(t *testing.T) {
			covered := map[string]bool{}
			for _, r := range rules {
				covered[r.covers] = true
			}
			for _, c := range constraints(schemaOf(t, kind)) {
				assert.True(t, covered[c], "no row covers %q", c)
				delete(covered, c)
			}
			for c, is := range covered {
				assert.False(t, is, "a row covers %q, which the schema does not have", c)
			}
		})
	}
}

// TestEverythingInSpecIsBounded: what is in etcd once must be small, and what
// CEL walks must have a known cost.
func TestEverythingInSpecIsBounded(t *testing.T) {
	for kind := range resources {
		walk(schemaOf(t, kind), func(path string, s *apiextensionsv1.JSONSchemaProps) {
			if !strings.HasPrefix(path, "spec.") || foreign.MatchString(path) || strings.HasSuffix(path, "{}") {
				return
			}
			switch {
			case s.Type == "string":
				assert.True(t, s.MaxLength != nil || len(s.Enum) > 0, "%s %s has no maxLength", kind, path)
			case s.Type == "array":
				assert.NotNil(t, s.MaxItems, "%s %s has no maxItems", kind, path)
			case s.AdditionalProperties != nil:
				assert.NotNil(t, s.MaxProperties, "%s %s has no maxProperties", kind, path)
			}
		})
	}
}

// TestNoDefaults: a default in a schema is a difference between what is in Git
// and what is in the cluster. Effective values are in status, and status itself
// begins as "nothing observed yet", which is not in Git.
func TestNoDefaults(t *testing.T) {
	for kind := range resources {
		walk(schemaOf(t, kind), func(path string, s *apiextensionsv1.JSONSchemaProps) {
			if path == "status" {
				require.NotNil(t, s.Default, "%s: a fresh object would look healthy to GitOps tools", kind)
				assert.JSONEq(t, `{"observedGeneration":-1}`, string(s.Default.Raw))
				return
			}
			assert.Nil(t, s.Default, "%s %s has a default", kind, path)
		})
	}
}

func TestEveryFieldIsDescribed(t *testing.T) {
	for kind := range resources {
		walk(schemaOf(t, kind), func(path string, s *apiextensionsv1.JSONSchemaProps) {
			if path != "metadata" && !strings.HasSuffix(path, "[]") && !strings.HasSuffix(path, "{}") {
				assert.NotEmpty(t, s.Description, "%s %s", kind, path)
			}
		})
	}
}

// TestEveryExportedNameIsDocumented: the API reference is made of these comments.
func TestEveryExportedNameIsDocumented(t *testing.T) {
	ours := func(f fs.FileInfo) bool {
		return !strings.HasSuffix(f.Name(), "_test.go") && !strings.HasPrefix(f.Name(), "zz_")
	}
	packages, err := parser.ParseDir(token.NewFileSet(), ".", ours, parser.ParseComments) //nolint:staticcheck // build tags do not matter here
	require.NoError(t, err)
	undocumented := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		for _, d := range docs {
			if d.Text() != "" {
				return
			}
		}
		if name.IsExported() {
			t.Errorf("%s has no comment", name.Name)
		}
	}
	ast.Inspect(packages["v1alpha1"], func(n ast.Node) bool {
		switch d := n.(type) {
		case *ast.FuncDecl:
			undocumented(d.Name, d.Doc)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					undocumented(s.Name, s.Doc, d.Doc)
				case *ast.ValueSpec:
					if group := d.Doc.Text(); d.Tok == token.CONST && strings.Contains(group, "reasons") {
						continue // a list of words that say themselves
					}
					undocumented(s.Names[0], s.Doc, s.Comment, ifSingle(d))
				}
			}
		case *ast.Field:
			for _, name := range d.Names {
				// The frame of every kind; its own types say what is in it.
				if !slices.Contains([]string{"Spec", "Status", "Items"}, name.Name) {
					undocumented(name, d.Doc, d.Comment)
				}
			}
		}
		return true
	})
}

// ifSingle is the comment of a declaration that declares one thing.
func ifSingle(d *ast.GenDecl) *ast.CommentGroup {
	if len(d.Specs) == 1 {
		return d.Doc
	}
	return nil
}

func TestCRDsAreSmall(t *testing.T) {
	for kind := range resources {
		raw, err := os.ReadFile(filepath.Join(crdDir, "bridgekeeper.dev_"+resources[kind]+".yaml"))
		require.NoError(t, err)
		assert.Less(t, len(raw), maxCRDBytes, kind)
	}
}

var (
	byCondition = regexp.MustCompile(`^\.status\.conditions\[\?\(@\.type=="(\w+)"\)\]\.(status|reason|message)$`)
	plainPath   = regexp.MustCompile(`^\.[\w.]+$`)
)

// at is the schema at a JSONPath like .status.channels; nil when there is none.
func at(root *apiextensionsv1.JSONSchemaProps, jsonPath string) *apiextensionsv1.JSONSchemaProps {
	var found *apiextensionsv1.JSONSchemaProps
	walk(root, func(path string, s *apiextensionsv1.JSONSchemaProps) {
		if "."+path == jsonPath {
			found = s
		}
	})
	return found
}

func TestPrinterColumnsShowWhatExists(t *testing.T) {
	conditionsOf := map[string]string{}
	for kind := range resources {
		root := schemaOf(t, kind)
		conditionsOf[kind] = at(root, ".status.conditions").Description
		for _, c := range crd(t, kind).Spec.Versions[0].AdditionalPrinterColumns {
			if c.JSONPath == ".metadata.creationTimestamp" {
				continue
			}
			if m := byCondition.FindStringSubmatch(c.JSONPath); m != nil {
				assert.Contains(t, conditionsOf[kind], m[1], "%s column %s shows a condition that the kind does not have", kind, c.Name)
				continue
			}
			require.Regexp(t, plainPath, c.JSONPath)
			s := at(root, c.JSONPath)
			require.NotNil(t, s, "%s column %s shows %s", kind, c.Name, c.JSONPath)
			assert.Equal(t, c.Type, s.Type, "%s column %s", kind, c.Name)
		}
	}
}

func TestSelectableFieldsExist(t *testing.T) {
	for kind := range resources {
		for _, f := range crd(t, kind).Spec.Versions[0].SelectableFields {
			assert.NotNil(t, at(schemaOf(t, kind), f.JSONPath), "%s %s", kind, f.JSONPath)
		}
	}
}
