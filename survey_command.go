package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bridgekeeper/bridgekeeper/bridge/cli"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey/report"
)

func newSurveyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "survey",
		Short: "Read what SurveyCampaigns found out",
		Long: `Survey reads the results of SurveyCampaigns. They are in the store; what the
resource's status shows of them is a summary.`,
		Example: `  bridgekeeper survey report cx/nps-q4 --store https://store.example --token-file token > nps-q4.html`,
	}
	cmd.AddCommand(newSurveyReportCommand())
	return cmd
}

// surveyReportFlags are the flags of "bridgekeeper survey report".
type surveyReportFlags struct {
	store, tokenFile, ca, file, out, format string
	timeout                                 time.Duration
}

// Values of --format.
const (
	formatHTML = "html"
	formatJSON = "json"
)

func newSurveyReportCommand() *cobra.Command {
	var f surveyReportFlags
	cmd := &cobra.Command{
		Use:   "report NAMESPACE/NAME --store URL --token-file FILE",
		Short: "Write a campaign's report as one HTML page",
		Long: `Report asks a store for the report of a SurveyCampaign and writes it as one HTML
page: the score with its interval, its way through time, the distribution, the
funnel, arms, comparisons and the drop-off by question. The page needs nothing else
(no scripts, no fonts) and names nobody: mail it, or keep it beside a decision.

--store is the store's REST API: its Service's port 8080, or where you forward it
to. The token is one of the ConversationStore's, of the access read.

With --format json it writes the numbers instead, and -f makes the page of such a
file later, without a store.`,
		Example: `  kubectl -n cx port-forward svc/default-store 8080 &
  bridgekeeper survey report cx/nps-q4 --store http://127.0.0.1:8080 --token-file token -o nps-q4.html
  bridgekeeper survey report cx/nps-q4 --store http://127.0.0.1:8080 --token-file token --format json -o nps-q4.json
  bridgekeeper survey report -f nps-q4.json -o nps-q4.html`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSurveyReport(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.store, "store", "", "URL of the store's REST API")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with a token of the store, or - for the standard input")
	flags.StringVar(&f.ca, "ca-file", "", "file with the certificate authority of --store, where the system does not know it")
	flags.StringVarP(&f.file, "filename", "f", "", "file of a report in JSON, or - for the standard input, instead of a store")
	flags.StringVarP(&f.out, "output", "o", "-", "file to write, or - for the standard output")
	flags.StringVar(&f.format, "format", formatHTML, "html or json")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait for the store")
	cli.Complete(cmd, "format", formatHTML, formatJSON)
	return cmd
}

func runSurveyReport(ctx context.Context, in io.Reader, out io.Writer, f surveyReportFlags, args []string) error {
	if f.format != formatHTML && f.format != formatJSON {
		return fmt.Errorf("--format %q: use %s or %s", f.format, formatHTML, formatJSON)
	}
	r, err := loadReport(ctx, in, f, args)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if f.format == formatJSON {
		encoder := json.NewEncoder(&b)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		err = report.Render(&b, r)
	}
	if err != nil {
		return err
	}
	if f.out == "-" {
		_, err = out.Write(b.Bytes())
		return err
	}
	return os.WriteFile(f.out, b.Bytes(), 0o644) //nolint:gosec // it names nobody, and is made to be read
}

// loadReport reads the report from a file or from a store.
func loadReport(ctx context.Context, in io.Reader, f surveyReportFlags, args []string) (survey.Report, error) {
	switch {
	case f.file != "" && (f.store != "" || len(args) > 0):
		return survey.Report{}, errors.New("-f is a report that was saved: leave the campaign and --store out, or leave -f out to ask a store")
	case f.file != "":
		text, err := readAll(in, f.file)
		if err != nil {
			return survey.Report{}, fmt.Errorf("-f: %w", err)
		}
		return parseReport(text, f.file)
	case len(args) == 0:
		return survey.Report{}, errors.New("name the campaign as NAMESPACE/NAME, or a saved report with -f")
	case f.store == "":
		return survey.Report{}, errors.New("--store is missing: the URL of the store's REST API, such as http://127.0.0.1:8080 after kubectl -n NAMESPACE port-forward svc/default-store 8080")
	}
	return fetchReport(ctx, in, f, args[0])
}

// parseReport takes a report, or a campaign with its report as REST has it.
func parseReport(text []byte, from string) (survey.Report, error) {
	var r survey.Report
	var whole struct {
		Report json.RawMessage `json:"report"`
	}
	err := json.Unmarshal(text, &whole)
	if err == nil && whole.Report != nil {
		text = whole.Report
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err == nil && (r.Campaign == "" || r.Type == "") {
		err = errors.New("it has no campaign and type")
	}
	if err != nil {
		return r, fmt.Errorf("%s is no report of a campaign: %w; make one with --format json, or with GET /v1/surveys/{namespace}/{name}", from, err)
	}
	return r, nil
}

// maxReport bounds what a store may answer: a report has some hundred numbers.
const maxReport = 16 << 20

func fetchReport(ctx context.Context, in io.Reader, f surveyReportFlags, campaign string) (survey.Report, error) {
	var none survey.Report
	namespace, name, ok := strings.Cut(campaign, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return none, fmt.Errorf("%q is no campaign: write NAMESPACE/NAME", campaign)
	}
	base, err := url.Parse(f.store)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return none, fmt.Errorf("--store %q: write a URL such as http://127.0.0.1:8080", f.store)
	}
	if f.tokenFile == "" {
		return none, errors.New("--token-file is missing: a file with a token of the ConversationStore (spec.api.tokens), of the access read")
	}
	token, err := readAll(in, f.tokenFile)
	if err != nil {
		return none, fmt.Errorf("--token-file: %w", err)
	}
	client, err := reportClient(f)
	if err != nil {
		return none, err
	}
	target := base.JoinPath("v1", "surveys", namespace, name).String()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return none, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	answer, err := client.Do(request)
	if err != nil {
		return none, fmt.Errorf("the store does not answer: %w; is --store its REST API, and can it be reached from here?", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxReport))
	if err != nil {
		return none, fmt.Errorf("the answer of the store broke off: %w; try again", err)
	}
	if answer.StatusCode != http.StatusOK {
		return none, refusal(answer.StatusCode, text, campaign)
	}
	return parseReport(text, target)
}

func reportClient(f surveyReportFlags) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca-file %s: there is no certificate in it", f.ca)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport, Timeout: f.timeout}, nil
}

// refusal says what to do about an answer that is no report.
func refusal(status int, text []byte, campaign string) error {
	switch status {
	case http.StatusUnauthorized:
		return errors.New("the store does not know this token: is --token-file the one of this ConversationStore, and is its Secret still in spec.api.tokens?")
	case http.StatusForbidden:
		return errors.New("the token may not read: give it the access read in spec.api.tokens")
	case http.StatusNotFound:
		return fmt.Errorf("the store has no campaign %s, or the token is not for its namespace: kubectl get surveycampaigns -A lists them, spec.storeRef names their store", campaign)
	}
	var problem struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(text, &problem) == nil && problem.Detail != "" {
		return fmt.Errorf("the store answers %d: %s", status, problem.Detail)
	}
	return fmt.Errorf("the store answers %d, and not as a store would: is --store its REST API?", status)
}
