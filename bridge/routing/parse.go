package routing

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// ParsePolicy reads a policy from JSON strictly: an unknown field, most often a
// misspelt one, is a finding and not silently nothing. With findings the policy
// must not be used. (A document's reader, which meets newer writers, uses
// encoding/json instead, which ignores what it does not know.)
func ParsePolicy(data []byte) (Policy, []Finding) {
	var policy Policy
	return policy, parseStrictly(data, &policy)
}

// ParseFacts reads facts from JSON as strictly.
func ParseFacts(data []byte) (Facts, []Finding) {
	var facts Facts
	return facts, parseStrictly(data, &facts)
}

// parseStrictly reads JSON into a struct and reports unknown fields, with their
// paths, and values of another type.
func parseStrictly(data []byte, into any) []Finding {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(into); err != nil {
		return []Finding{decodeFinding(err)}
	}
	if decoder.More() {
		return []Finding{{Field: ".", Reason: ReasonInvalid, Effect: EffectRejected, Message: "more follows after the JSON value; there must be one"}}
	}
	var raw any
	if err := json.Unmarshal(data, &raw); err != nil {
		return []Finding{decodeFinding(err)}
	}
	var found findings
	found.unknownFields("", raw, reflect.TypeOf(into).Elem())
	return found.all
}

func decodeFinding(err error) Finding {
	f := Finding{Field: ".", Reason: ReasonInvalid, Effect: EffectRejected, Message: "is not JSON as expected: " + err.Error()}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) && wrongType.Field != "" {
		f.Field = wrongType.Field
		f.Message = fmt.Sprintf("is a %s where %s belongs", wrongType.Value, wrongType.Type)
	}
	return f
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// unknownFields compares a decoded JSON value with the type it was meant for.
func (c *findings) unknownFields(path string, value any, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Implements(textUnmarshaler) || reflect.PointerTo(t).Implements(textUnmarshaler) {
		return // a time or a duration: a string with rules of its own
	}
	switch v := value.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			field := strings.TrimPrefix(path+"."+key, ".")
			switch t.Kind() {
			case reflect.Map:
				c.unknownFields(field, v[key], t.Elem())
			case reflect.Struct:
				names := jsonFields(t)
				known, ok := names[key]
				if !ok {
					c.add(ReasonUnknownField, EffectRejected, field, "there is no such field; %s", suggest(key, names))
					continue
				}
				c.unknownFields(field, v[key], known)
			}
		}
	case []any:
		if t.Kind() == reflect.Slice {
			for i, each := range v {
				c.unknownFields(fmt.Sprintf("%s[%d]", path, i), each, t.Elem())
			}
		}
	}
}

func jsonFields(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type, t.NumField())
	for f := range t.Fields() {
		if name := jsonName(f); name != "" {
			fields[name] = f.Type
		}
	}
	return fields
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// suggest names the field that was probably meant, or all that there are.
func suggest(key string, names map[string]reflect.Type) string {
	for name := range names {
		if strings.EqualFold(name, key) {
			return fmt.Sprintf("it is written %s", name)
		}
	}
	return "there are " + strings.Join(sortedKeys(names), ", ")
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
