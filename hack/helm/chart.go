package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"
)

//go:embed all:static
var static embed.FS

// namespace is the operator's in config/; a release has its own.
const namespace = "bridgekeeper-system"

// files of a chart by their path in it.
type files map[string][]byte

// writeChart makes the folder of the chart anew.
func writeChart(config, dir string) error {
	chart, err := newChart(config)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for path, content := range chart {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // public
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // public
			return err
		}
	}
	return nil
}

func newChart(config string) (files, error) {
	all, err := build(config, "default")
	if err != nil {
		return nil, err
	}
	watched, err := build(config, "namespaced/default")
	if err != nil {
		return nil, err
	}
	monitoring, err := build(config, "prometheus")
	if err != nil {
		return nil, err
	}
	chart := files{}
	return chart, errors.Join(chart.addStatic(all), chart.addInstall(all), chart.addWatched(watched), chart.addMonitoring(monitoring))
}

// addStatic adds what only a chart has. The defaults of values are what config/
// says.
func (f files) addStatic(all []object) error {
	for path, name := range map[string]string{"templates/_helpers.tpl": "_helpers.tpl", "templates/NOTES.txt": "NOTES.txt", "values.schema.json": "values.schema.json"} {
		content, err := static.ReadFile("static/" + name)
		if err != nil {
			return err
		}
		f[path] = content
	}
	i := slices.IndexFunc(all, func(o object) bool { return managerContainer(o) != nil })
	if i < 0 {
		return errors.New("config/default has no Deployment")
	}
	container := managerContainer(all[i])
	repository, tag, ok := strings.Cut(text(container["image"]), ":")
	if !ok {
		return fmt.Errorf("image %q of config/manager has no tag", container["image"])
	}
	resources, err := yaml.Marshal(container["resources"])
	if err != nil {
		return err
	}
	f["Chart.yaml"] = fmt.Appendf(nil, `# Generated from hack/helm by make generate, as is everything in this folder.
apiVersion: v2
name: bridgekeeper
description: Customer conversations as Kubernetes resources
type: application
version: %s
appVersion: %s
kubeVersion: ">=1.31.0-0"
home: https://github.com/bridgekeeper/bridgekeeper
sources: [https://github.com/bridgekeeper/bridgekeeper]
`, strings.TrimPrefix(tag, "v"), tag)
	values, err := template.New("values.yaml").Delims("<<", ">>").Funcs(template.FuncMap{"indent": indent}).ParseFS(static, "static/values.yaml")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	spec, _ := all[i]["spec"].(map[string]any)
	err = values.Execute(&b, map[string]any{"repository": repository, "replicas": spec["replicas"], "resources": strings.TrimSpace(string(resources))})
	f["values.yaml"] = b.Bytes()
	return err
}

func indent(n int, s string) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(s, "\n", "\n"+pad)
}

// When a template of each kind of object is there.
var conditions = map[string]string{
	"CustomResourceDefinition": ".Values.crds.enabled",
	"NetworkPolicy":            ".Values.networkPolicy.enabled",
	"ClusterRole":              "not .Values.watchNamespaces",
	"ClusterRoleBinding":       "not .Values.watchNamespaces",
}

// addInstall adds config/default, but the Namespace: a release is in one that
// Helm makes (--create-namespace).
func (f files) addInstall(all []object) error {
	for _, o := range all {
		if o.kind() == "Namespace" {
			continue
		}
		if err := f.add(o, conditions[o.kind()]); err != nil {
			return err
		}
	}
	return nil
}

// add turns an object into a template of its own file.
func (f files) add(o object, condition string) error {
	prepare(o)
	content, err := yaml.Marshal(o)
	if err != nil {
		return err
	}
	rendered := substitute(string(content))
	if condition != "" {
		rendered = "{{- if " + condition + " }}\n" + rendered + "{{- end }}\n"
	}
	path := "templates/" + strings.ToLower(o.kind()+"-"+o.name()) + ".yaml"
	if _, there := f[path]; there {
		return fmt.Errorf("there are two objects for %s", path)
	}
	f[path] = []byte(rendered)
	return nil
}

// addWatched adds the rights in single namespaces, for each that is named.
func (f files) addWatched(watched []object) error {
	var b strings.Builder
	b.WriteString("{{- range .Values.watchNamespaces }}\n")
	for _, o := range watched {
		if o.kind() != "Role" && o.kind() != "RoleBinding" {
			return fmt.Errorf("config/namespaced/default has a %s: nobody has thought about it", o.kind())
		}
		replaceStrings(o, map[string]string{namespace: mark("release-namespace-in-range")})
		o.metadata()["namespace"] = mark("watched-namespace")
		content, err := yaml.Marshal(o)
		if err != nil {
			return err
		}
		b.WriteString("---\n" + substitute(string(content)))
	}
	b.WriteString("{{- end }}\n")
	f["templates/watched.yaml"] = []byte(b.String())
	return nil
}

// addMonitoring adds config/prometheus. Alerts and dashboard have templates of
// their own language in them, so they are files that are put in as they are.
func (f files) addMonitoring(objects []object) error {
	const enabled = ".Values.prometheus.enabled"
	for _, o := range objects {
		switch o.kind() {
		case "PrometheusRule":
			spec, err := yaml.Marshal(o["spec"])
			if err != nil {
				return err
			}
			f["files/rules.yaml"] = spec
			o["spec"] = mark("rules")
		case "ConfigMap":
			data, _ := o["data"].(map[string]any)
			for _, name := range slices.Collect(maps.Keys(data)) {
				f["files/"+name] = []byte(text(data[name]))
				data[name] = mark("dashboard")
			}
		}
		if err := f.add(o, enabled); err != nil {
			return err
		}
	}
	return nil
}
