package all

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

var update = flag.Bool("update", false, "write the table in README.md")

// A platform that is registered here and does not run the conformance suite,
// with its fuzz tests, is not registered for long.
func TestEveryPlatformRunsTheConformanceSuite(t *testing.T) {
	for _, p := range Platforms() {
		called := callsOf(t, filepath.Join("..", p.Name()), "conformance")
		for _, want := range []string{"Run", "FuzzParse", "FuzzVerify"} {
			require.True(t, called[want], "the tests of package %s do not call conformance.%s", p.Name(), want)
		}
	}
}

// callsOf are the functions of a package that the tests in a folder call.
func callsOf(t *testing.T, dir, pkg string) map[string]bool {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	called := map[string]bool{}
	for _, f := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), f, nil, 0)
		require.NoError(t, err)
		ast.Inspect(tree, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if fun, ok := call.Fun.(*ast.SelectorExpr); ok {
					if x, ok := fun.X.(*ast.Ident); ok && x.Name == pkg {
						called[fun.Sel.Name] = true
					}
				}
			}
			return true
		})
	}
	return called
}

func TestEveryFolderIsRegistered(t *testing.T) {
	entries, err := os.ReadDir("..")
	require.NoError(t, err)
	for _, e := range entries {
		if e.IsDir() && !slices.Contains([]string{"all", "conformance", "meta", "testdata"}, e.Name()) { // meta: what Instagram and Messenger share
			require.Contains(t, ByName(), e.Name(), "the platform is not in the table")
		}
	}
}

func TestTwoPlatformsOfOneNamePanic(t *testing.T) {
	p := Platforms()[0]
	require.PanicsWithValue(t, `platform "`+p.Name()+`" is registered twice or has no name`, func() { check([]platform.Platform{p, p}) })
}

func TestTheViewsAgree(t *testing.T) {
	for _, p := range Platforms() {
		require.Same(t, p, ByName()[p.Name()], "one instance, whoever asks")
		require.Equal(t, p.Capabilities(), Capabilities()[p.Name()])
		_, err := Parsers()[p.Name()]("1", []byte("not a payload"))
		require.Error(t, err)
	}
	Platforms()[0] = nil
	require.NotNil(t, Platforms()[0], "callers get a copy of the table")
}

const begin, end = "<!-- begin capabilities: go test ./bridge/platform/all -update -->\n", "<!-- end capabilities -->\n"

func TestReadmeShowsTheCapabilities(t *testing.T) {
	const path = "../README.md"
	readme, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(readme), begin)
	require.True(t, ok)
	table, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	if want := capabilityTable(); *update {
		require.NoError(t, os.WriteFile(path, []byte(before+begin+want+end+after), 0o644))
	} else {
		require.Equal(t, want, table, "run the test with -update")
	}
}

// capabilityTable has a column for each platform.
func capabilityTable() string {
	rows := []struct {
		name string
		cell func(platform.Platform, platform.Capabilities) string
	}{
		{"Maintenance", func(_ platform.Platform, c platform.Capabilities) string { return string(c.Maintenance) }},
		{"Receives by", func(_ platform.Platform, c platform.Capabilities) string { return list(c.Receive) }},
		{"Text", func(_ platform.Platform, c platform.Capabilities) string { return limit(c.Text) }},
		{"Caption", func(_ platform.Platform, c platform.Capabilities) string {
			if c.Caption.Max == 0 {
				return "follows as text"
			}
			return limit(c.Caption)
		}},
		{"Attachments out", func(_ platform.Platform, c platform.Capabilities) string {
			return list(c.Attachments) + ", " + size(c.MaxUpload)
		}},
		{"Attachments in", func(_ platform.Platform, c platform.Capabilities) string { return size(c.MaxMedia) }},
		{"Location", func(_ platform.Platform, c platform.Capabilities) string { return yes(c.Location) }},
		{"Buttons", func(_ platform.Platform, c platform.Capabilities) string {
			if c.Buttons == 0 {
				return "no"
			}
			return fmt.Sprintf("%d, payload %s", c.Buttons, limit(c.ButtonPayload))
		}},
		{"Quick replies", func(_ platform.Platform, c platform.Capabilities) string { return number(c.QuickReplies) }},
		{"Cards of a template", func(_ platform.Platform, c platform.Capabilities) string { return number(c.Cards) }},
		{"Edit / delete / react / reply", func(_ platform.Platform, c platform.Capabilities) string {
			return yes(c.Edit) + " / " + yes(c.Delete) + " / " + yes(c.React) + " / " + yes(c.ReplyTo)
		}},
		{"Receipts beyond sent", func(_ platform.Platform, c platform.Capabilities) string { return list(c.Receipts) }},
		{"Messaging window", func(_ platform.Platform, c platform.Capabilities) string {
			if c.Window == 0 {
				return "none"
			}
			cell := hours(c.Window)
			if c.AgentWindow > 0 {
				cell += ", for people " + hours(c.AgentWindow)
			}
			if c.AdWindow > 0 {
				cell += ", after an ad up to " + hours(c.AdWindow)
			}
			if len(c.WindowOpeners) > 0 {
				cell += "; opened by a message or " + list(c.WindowOpeners)
			}
			return cell
		}},
		{"Idempotent send", func(_ platform.Platform, c platform.Capabilities) string { return yes(c.Idempotent) }},
		{"Repeats webhooks", func(_ platform.Platform, c platform.Capabilities) string {
			if !slices.Contains(c.Receive, document.ReceiveWebhook) {
				return "has none"
			}
			return yes(c.Retries) + ", waits " + c.Patience.Round(time.Second).String()
		}},
		{"Sends per second", func(_ platform.Platform, c platform.Capabilities) string {
			if c.LaneRate == 0 {
				return fmt.Sprintf("%g", c.RatePerSec)
			}
			return fmt.Sprintf("%g, to one contact %g", c.RatePerSec, c.LaneRate)
		}},
		{"One webhook URL per app", func(_ platform.Platform, c platform.Capabilities) string { return yes(c.AppWebhook) }},
		{"Registers webhooks itself", func(p platform.Platform, _ platform.Capabilities) string {
			_, ok := p.(platform.Registrar)
			return yes(ok)
		}},
		{"Profile", func(p platform.Platform, _ platform.Capabilities) string {
			_, ok := p.(platform.Profiler)
			return yes(ok)
		}},
		{"Secret keys", func(_ platform.Platform, c platform.Capabilities) string {
			var keys []string
			for _, k := range c.Secrets {
				key := "`" + k.Name + "`"
				if !k.Required {
					key += " (optional)"
				}
				keys = append(keys, key)
			}
			return strings.Join(keys, ", ")
		}},
	}
	var b strings.Builder
	header, rule := "| |", "|---|"
	for _, p := range Platforms() {
		header += " " + p.Name() + " |"
		rule += "---|"
	}
	fmt.Fprintf(&b, "%s\n%s\n", header, rule)
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s |", r.name)
		for _, p := range Platforms() {
			fmt.Fprintf(&b, " %s |", r.cell(p, p.Capabilities()))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func number(n int) string {
	if n == 0 {
		return "no"
	}
	return strconv.Itoa(n)
}

func hours(d time.Duration) string { return fmt.Sprintf("%g h", d.Hours()) }

func list[T ~string](values []T) string {
	if len(values) == 0 {
		return "none"
	}
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = string(v)
	}
	return strings.Join(words, ", ")
}

func limit(l platform.TextLimit) string {
	if l.Max == 0 {
		return "not bounded"
	}
	return fmt.Sprintf("%d %s", l.Max, l.Unit)
}

func size(bytes int64) string {
	if bytes == 0 {
		return "not bounded"
	}
	return fmt.Sprintf("up to %d MiB", bytes>>20)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
