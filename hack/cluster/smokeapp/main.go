// Command smokeapp is what runs in the pods of the smoke test: a small server,
// and a few one-shot commands for kubectl exec.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return serve()
	}
	if len(args) < 2 {
		return errors.New("usage: smokeapp [get URL | api PATH | resolve NAME | read FILE | write FILE TEXT]")
	}
	switch args[0] {
	case "get":
		return fetch(&http.Client{Timeout: 2 * time.Second}, args[1], "")
	case "api":
		return api(args[1])
	case "resolve":
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		addresses, err := net.DefaultResolver.LookupHost(ctx, args[1])
		fmt.Println(strings.Join(addresses, "\n"))
		return err
	case "read":
		data, err := os.ReadFile(args[1])
		fmt.Print(string(data))
		return err
	case "write":
		return os.WriteFile(args[1], []byte(args[2]), 0o600)
	}
	return fmt.Errorf("there is no command %q", args[0])
}

// serve answers with the pod's name until it is asked to end.
func serve() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr:              ":8080",
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, name)
		}),
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	log.Print("listening on 8080")
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// api asks the API server as a pod does: by its Service name, with the token and
// the authority that are mounted into every pod.
func api(path string) error {
	ca, err := os.ReadFile(accountFolder + "ca.crt")
	if err != nil {
		return err
	}
	token, err := os.ReadFile(accountFolder + "token")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	return fetch(client, "https://kubernetes.default.svc"+path, string(token))
}

func fetch(client *http.Client, target, token string) error {
	request, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	fmt.Print(string(body))
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}
