package telegram

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// object reads fields of a JSON object with the checks and the words of the
// real server: numbers pass as strings and strings as numbers, nothing else.
type object map[string]json.RawMessage

// parseObject decodes an object; ok is false when the text is valid JSON but
// no object, err when it is no JSON.
func parseObject(text string) (o object, ok bool, err error) {
	raw := json.RawMessage(text)
	if err := json.Unmarshal(raw, new(any)); err != nil {
		return nil, false, err
	}
	if jsonKind(raw) != "Object" {
		return nil, false, nil
	}
	err = json.Unmarshal(raw, &o)
	return o, err == nil, err
}

func (o object) has(name string) bool { _, ok := o[name]; return ok }

// jsonKind names the type of a JSON value as the real server does.
func jsonKind(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "Null"
	}
	switch raw[0] {
	case '{':
		return "Object"
	case '[':
		return "Array"
	case '"':
		return "String"
	case 't', 'f':
		return "Boolean"
	case 'n':
		return "Null"
	}
	return "Number"
}

// text returns a string field; a number is taken as its digits.
func (o object) text(name string, required bool) (string, *apiError) {
	raw, ok := o[name]
	if !ok {
		if required {
			return "", badRequest("Can't find field %q", name)
		}
		return "", nil
	}
	switch jsonKind(raw) {
	case "String":
		var s string
		_ = json.Unmarshal(raw, &s) // checked by parseObject
		return s, nil
	case "Number":
		return string(raw), nil
	}
	return "", badRequest("Field %q must be of type String", name)
}

// integer returns a required number field; a string of digits is taken too.
func (o object) integer(name string) (int64, *apiError) {
	raw, ok := o[name]
	if !ok {
		return 0, badRequest("Can't find field %q", name)
	}
	text := string(raw)
	switch jsonKind(raw) {
	case "String":
		_ = json.Unmarshal(raw, &text) // checked by parseObject
	case "Number":
	default:
		return 0, badRequest("Field %q must be of type Number", name)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, badRequest("Can't parse %q as an integer", text)
	}
	return n, nil
}

// boolean returns a flag field.
func (o object) boolean(name string) (bool, *apiError) {
	raw, ok := o[name]
	if !ok || jsonKind(raw) == "Null" {
		return false, nil
	}
	if jsonKind(raw) != "Boolean" {
		return false, badRequest("Field %q must be of type Boolean", name)
	}
	return raw[0] == 't', nil
}

// array returns the elements of a required array field.
func (o object) array(name string) ([]json.RawMessage, *apiError) {
	raw, ok := o[name]
	if !ok {
		return nil, nil
	}
	if jsonKind(raw) != "Array" {
		return nil, badRequest("Field %q must be of type Array", name)
	}
	var list []json.RawMessage
	_ = json.Unmarshal(raw, &list) // checked by parseObject
	return list, nil
}

// inner returns a required object field.
func (o object) inner(name string) (object, *apiError) {
	raw, ok := o[name]
	if !ok {
		return nil, badRequest("Can't find field %q", name)
	}
	in, isObject, err := parseObject(string(raw))
	if err != nil || !isObject {
		return nil, badRequest("Field %q must be of type Object", name)
	}
	return in, nil
}

// parseArray decodes an array; ok and err as in parseObject.
func parseArray(text string) (list []json.RawMessage, ok bool, err error) {
	raw := json.RawMessage(text)
	if err := json.Unmarshal(raw, new(any)); err != nil {
		return nil, false, err
	}
	if jsonKind(raw) != "Array" {
		return nil, false, nil
	}
	err = json.Unmarshal(raw, &list)
	return list, err == nil, err
}
