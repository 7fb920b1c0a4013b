// Command helm makes what people install with: the Helm chart, and one file for
// kubectl. Both are made of config/, so that nothing is written twice.
//
//	config/default     ──┐                ┌──► config/helm/bridgekeeper (a chart)
//	config/namespaced  ──┼──► kustomize ──┤
//	config/prometheus  ──┘                └──► install.yaml
//	static/            ── what only a chart has: values, their schema, notes
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	config := flag.String("config", "../../config", "the folder config")
	image := flag.String("image", "", "image in install.yaml and template; that of config/manager when empty")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), `usage: helm [flags] chart | install.yaml | template | package DIR

chart writes the chart into config; install.yaml and template print what kubectl
applies: config/default in one file, and what helm makes of the chart.`)
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(*config, *image, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "helm:", err)
		os.Exit(1)
	}
}

func run(config, image string, args []string) error {
	chart := filepath.Join(config, "helm", "bridgekeeper")
	switch {
	case len(args) == 1 && args[0] == "chart":
		return writeChart(config, chart)
	case len(args) == 1 && args[0] == "install.yaml":
		content, err := install(config, image)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(content)
		return err
	case len(args) == 1 && args[0] == "template":
		values, err := imageValues(image)
		if err != nil {
			return err
		}
		content, err := renderChart(config, namespace, values)
		if err != nil {
			return err
		}
		_, err = os.Stdout.WriteString(content)
		return err
	case len(args) == 2 && args[0] == "package":
		return pack(chart, args[1])
	}
	return errors.New("say chart, install.yaml, template or package DIR; -h tells more")
}

// install is config/default in one file, with another image if one is named.
func install(config, image string) ([]byte, error) {
	objects, err := build(config, "default")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString("# Bridgekeeper: kubectl apply --server-side -f install.yaml\n")
	for _, o := range objects {
		if container := managerContainer(o); container != nil && image != "" {
			container["image"] = image
		}
		content, err := yaml.Marshal(o)
		if err != nil {
			return nil, err
		}
		b.WriteString("---\n" + string(content))
	}
	return []byte(b.String()), nil
}
