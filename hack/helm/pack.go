package main

import (
	"fmt"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
)

// pack makes the archive that a chart repository serves.
func pack(chart, dir string) error {
	loaded, err := loader.LoadDir(chart)
	if err != nil {
		return err
	}
	path, err := chartutil.Save(loaded, dir)
	if err == nil {
		_, err = fmt.Println(path)
	}
	return err
}
