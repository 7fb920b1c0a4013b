// Package crd holds the CustomResourceDefinitions as they are installed, for
// who must check manifests as the API server would but has none.
package crd

import "embed"

// Bases are the definitions, one YAML file per kind below "bases". They are
// generated from api/ (make generate).
//
//go:embed bases/*.yaml
var Bases embed.FS
