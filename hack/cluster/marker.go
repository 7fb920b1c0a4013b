package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
)

// A marker says that a cluster was made, during which boot of the machine, and
// from what: if either differs, it cannot be repaired, only made anew.
type marker struct {
	BootID      string `json:"bootId"`
	Fingerprint string `json:"fingerprint"`
	// ForeignCNI: somebody else's portmap chains were there first; they stay.
	ForeignCNI bool `json:"foreignCni"`
}

func markerFile(cfg Config) string { return cfg.path("cluster.json") }

func newMarker(cfg Config) (marker, error) {
	sum := sha256.New()
	built, err := programs(cfg)
	if err != nil {
		return marker{}, err
	}
	for _, p := range built {
		fmt.Fprintln(sum, p.name, p.version)
	}
	for _, c := range components(cfg) {
		fmt.Fprintln(sum, c.name, c.program, c.args, c.env)
	}
	for _, name := range sortedKeys(configFiles(cfg)) {
		content, err := render(name, newSettings(cfg, false))
		if err != nil {
			return marker{}, err
		}
		fmt.Fprintf(sum, "%s", content)
	}
	return marker{BootID: bootID(), Fingerprint: fmt.Sprintf("%x", sum.Sum(nil))[:16]}, nil
}

func (m marker) write(cfg Config) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return writeFile(markerFile(cfg), data, 0o644)
}

func readMarker(cfg Config) (marker, error) {
	var m marker
	data, err := os.ReadFile(markerFile(cfg))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%s is damaged: %w", markerFile(cfg), err)
	}
	return m, nil
}
