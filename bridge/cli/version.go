package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Build is what a binary knows of itself.
type Build struct {
	// Version is that of the release.
	Version string `json:"version"`
	// Revision of the sources, with "-dirty" when they were changed; empty when
	// they were built outside a repository.
	Revision string `json:"revision,omitempty"`
	// Time of the revision, RFC 3339.
	Time     string `json:"time,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	// DocumentMajors are the major versions of the documents between operator
	// and pods that it speaks, ascending. Two binaries that share one work
	// together.
	DocumentMajors []int `json:"documentMajors"`
}

// BuildOf tells of the running binary; version is what the linker set.
func BuildOf(version string) Build {
	b := Build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, DocumentMajors: document.Majors()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	dirty := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "-dirty"
			}
		}
	}
	if b.Revision != "" {
		b.Revision += dirty
	}
	return b
}

// Outputs of the version command.
const (
	outputText  = "text"
	outputShort = "short"
	outputJSON  = "json"
)

// NewVersionCommand prints what the binary knows of itself.
func NewVersionCommand(name, version string) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this build",
		Long: `Version tells which build this is, and which major versions of the documents
between operator and pods it speaks: an operator and a pod that share one work
together, so that either can be upgraded first.`,
		Example: fmt.Sprintf("  %[1]s version\n  %[1]s version -o json", name),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return BuildOf(version).write(cmd.OutOrStdout(), name, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", outputText, "text, short (the version alone) or json")
	Complete(cmd, "output", outputText, outputShort, outputJSON)
	return cmd
}

func (b Build) write(out io.Writer, name, output string) (err error) {
	switch output {
	case outputText:
		_, err = fmt.Fprintln(out, b.text(name))
	case outputShort:
		_, err = fmt.Fprintln(out, b.Version)
	case outputJSON:
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(b)
	default:
		err = fmt.Errorf("--output %q: use %s, %s or %s", output, outputText, outputShort, outputJSON)
	}
	return err
}

func (b Build) text(name string) string {
	lines := []string{name + " " + b.Version}
	if b.Revision != "" {
		lines = append(lines, "  revision   "+b.Revision+" of "+b.Time)
	}
	lines = append(lines,
		"  built with "+b.Go+" for "+b.Platform,
		"  documents  "+strings.Trim(strings.ReplaceAll(fmt.Sprint(b.DocumentMajors), " ", ", "), "[]"))
	return strings.Join(lines, "\n")
}

// Complete lets shells offer the values that a flag of cmd may have. The flag
// must be there.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // a mistake in this program
	}
}
