package main

import (
	"regexp"
	"strconv"
	"strings"
)

// A mark stands in an object for what the template has in its place.
func mark(name string) string { return "@@" + name + "@@" }

// scalars are what marks in the place of a value become.
var scalars = map[string]string{
	"release-namespace": "{{ .Release.Namespace }}",
	// In a range the root is elsewhere.
	"release-namespace-in-range": "{{ $.Release.Namespace }}",
	"watched-namespace":          "{{ . }}",
	"image":                      `{{ include "bridgekeeper.image" . | quote }}`,
	"replicas":                   "{{ .Values.replicas }}",
	"resources":                  `{{- toYaml .Values.resources | nindent INDENT }}`,
	"rules":                      `{{- .Files.Get "files/rules.yaml" | nindent INDENT }}`,
	"dashboard":                  `| {{- .Files.Get "files/bridgekeeper.json" | nindent INDENT }}`,
}

// blocks are what a whole line with a mark becomes: in a list, or among the
// keys of a mapping.
var blocks = map[string]string{
	"args": `{{- if .Values.watchNamespaces }}
- --watch-namespaces=$(WATCH_NAMESPACES)
{{- end }}
{{- if not .Values.createDefaults }}
- --create-defaults=false
{{- end }}
{{- with .Values.extraArgs }}
{{- toYaml . | nindent INDENT }}
{{- end }}`,
	"env": `{{- with .Values.watchNamespaces }}
- name: WATCH_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}`,
	"keep": `{{- if .Values.crds.keep }}
helm.sh/resource-policy: keep
{{- end }}`,
	"placement": `{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent BELOW }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent BELOW }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent BELOW }}
{{- end }}`,
}

// prepare puts marks into an object where values decide.
func prepare(o object) {
	replaceStrings(o, map[string]string{namespace: mark("release-namespace")})
	if o.kind() == "CustomResourceDefinition" {
		annotations, _ := o.metadata()["annotations"].(map[string]any)
		if annotations == nil {
			annotations = map[string]any{}
			o.metadata()["annotations"] = annotations
		}
		annotations[mark("keep")] = ""
	}
	container := managerContainer(o)
	if container == nil {
		return
	}
	container["image"], container["resources"] = mark("image"), mark("resources")
	args, _ := container["args"].([]any)
	container["args"] = append(args, mark("args"))
	env, _ := container["env"].([]any)
	container["env"] = append(env, mark("env"))
	podSpec(o)[mark("placement")] = ""
	spec, _ := o["spec"].(map[string]any)
	spec["replicas"] = mark("replicas")
}

// replaceStrings replaces whole values wherever they are.
func replaceStrings(v any, by map[string]string) any {
	switch v := v.(type) {
	case string:
		if to, ok := by[v]; ok {
			return to
		}
	case object:
		replaceStrings(map[string]any(v), by)
	case map[string]any:
		for key := range v {
			v[key] = replaceStrings(v[key], by)
		}
	case []any:
		for i := range v {
			v[i] = replaceStrings(v[i], by)
		}
	}
	return v
}

var (
	inScalar = regexp.MustCompile(`(?m)^( *)((?:- )?[^\n]*?): '?@@([a-z-]+)@@'?$`)
	inBlock  = regexp.MustCompile(`(?m)^( *)(?:- )?'?@@([a-z-]+)@@'?(?:: "")?$`)
)

// substitute turns a marked object into a template. What looks like a template
// in it already is kept as it is.
func substitute(content string) string {
	content = strings.ReplaceAll(content, "{{", `{{ "{{" }}`)
	content = inBlock.ReplaceAllStringFunc(content, func(line string) string {
		found := inBlock.FindStringSubmatch(line)
		return indent(len(found[1]), indents(blocks[found[2]], len(found[1])))
	})
	return inScalar.ReplaceAllStringFunc(content, func(line string) string {
		found := inScalar.FindStringSubmatch(line)
		to := indents(scalars[found[3]], len(found[1])+2)
		style, lines, ok := strings.Cut(to, "{{-") // it brings its own lines
		if ok {
			return strings.TrimRight(found[1]+found[2]+": "+style, " ") + "\n" + found[1] + "  {{-" + lines
		}
		return found[1] + found[2] + ": " + to
	})
}

// indents puts the columns in that a template is told.
func indents(template string, columns int) string {
	return strings.NewReplacer("INDENT", strconv.Itoa(columns), "BELOW", strconv.Itoa(columns+2)).Replace(template)
}
