package standalone

import (
	"context"
	"fmt"
	"path"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/config/crd"
)

// schema checks objects of one kind as the API server does: the schema of the
// CustomResourceDefinition, its lists and its CEL rules.
type schema struct {
	structural *structuralschema.Structural
	values     validation.SchemaValidator
	rules      *cel.Validator // nil when there are none
}

// schemaOf returns the schema of a kind. It is made on first use: compiling CEL
// takes some ten milliseconds per kind.
func schemaOf(kind string) (*schema, error) {
	schemasMu.Lock()
	defer schemasMu.Unlock()
	if s := schemas[kind]; s != nil {
		return s, nil
	}
	s, err := loadSchema(kind)
	if err != nil {
		return nil, fmt.Errorf("the definition of kind %s in this binary: %w", kind, err)
	}
	schemas[kind] = s
	return s, nil
}

var (
	schemasMu sync.Mutex
	schemas   = map[string]*schema{}
)

func loadSchema(kind string) (*schema, error) {
	definition, err := findDefinition(kind)
	if err != nil {
		return nil, err
	}
	var internal apiextensions.CustomResourceValidation
	if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(
		definition.Spec.Versions[0].Schema, &internal, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	values, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	return &schema{structural: structural, values: values, rules: cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

func findDefinition(kind string) (*apiextensionsv1.CustomResourceDefinition, error) {
	files, err := crd.Bases.ReadDir("bases")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		data, err := crd.Bases.ReadFile(path.Join("bases", f.Name()))
		if err != nil {
			return nil, err
		}
		definition := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(data, definition); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		if definition.Spec.Names.Kind == kind {
			return definition, nil
		}
	}
	return nil, fmt.Errorf("there is none")
}

// check lists what the API server would refuse. old is the object as it was
// before, for rules about changes; nil when it is new.
func (s *schema) check(ctx context.Context, obj, old map[string]any) field.ErrorList {
	if errs := validation.ValidateCustomResource(nil, obj, s.values); len(errs) > 0 {
		return errs // rules about values of the wrong type only confuse
	}
	errs := listtype.ValidateListSetsAndMaps(nil, s.structural, obj)
	if s.rules == nil {
		return errs
	}
	var before any
	if old != nil {
		before = old
	}
	broken, _ := s.rules.Validate(ctx, nil, s.structural, obj, before, celconfig.RuntimeCELCostBudget)
	return append(errs, broken...)
}
