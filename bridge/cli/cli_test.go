package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

func program() *cobra.Command {
	root := &cobra.Command{Use: "program", SilenceErrors: true, SilenceUsage: true}
	work := &cobra.Command{Use: "work", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return errors.New("the disk is full") }}
	work.Flags().String("where", "", "")
	_ = work.MarkFlagRequired("where")
	root.AddCommand(NewVersionCommand("program", "v1.2.3"), work)
	return root
}

func execute(t *testing.T, args ...string) (string, string) {
	t.Helper()
	var out bytes.Buffer
	root := program()
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	if cmd, err := root.ExecuteC(); err != nil {
		return "", Explain(cmd, err)
	}
	return out.String(), ""
}

func TestVersionTellsWhatWorksTogether(t *testing.T) {
	text, _ := execute(t, "version")
	assert.Contains(t, text, "program v1.2.3\n")
	assert.Contains(t, text, "documents  1\n")

	short, _ := execute(t, "version", "-o", "short")
	assert.Equal(t, "v1.2.3\n", short)

	var build Build
	raw, _ := execute(t, "version", "-o", "json")
	require.NoError(t, json.Unmarshal([]byte(raw), &build))
	assert.Equal(t, BuildOf("v1.2.3"), build)
	assert.Equal(t, document.Majors(), build.DocumentMajors)
	assert.NotEmpty(t, build.Go)

	_, problem := execute(t, "version", "-o", "xml")
	assert.Equal(t, `program: --output "xml": use text, short or json`, problem)
}

func TestMistakesTellWhereToRead(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no such command":  {[]string{"sleep"}, "Run 'program --help'"},
		"no such flag":     {[]string{"work", "--when", "now"}, "Run 'program work --help'"},
		"flag is missing":  {[]string{"work"}, "Run 'program work --help'"},
		"value is missing": {[]string{"work", "--where"}, "Run 'program work --help'"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problem := execute(t, tc.args...)
			assert.Contains(t, problem, tc.want)
		})
	}
	_, problem := execute(t, "work", "--where", "here")
	assert.Equal(t, "program: the disk is full", problem, "that is no question of usage")
}

func TestShellsComplete(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		script, problem := execute(t, "completion", shell)
		assert.Empty(t, problem)
		assert.Contains(t, script, "program")
	}
	offered, _ := execute(t, "__complete", "version", "--output", "")
	assert.Contains(t, offered, "json\n")
}
