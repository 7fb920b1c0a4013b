package compile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// Keys of a postgres store's Secret. The files in its pods have the same names.
const (
	dsnKey     = "dsn"
	caKey      = "ca.crt"
	certKey    = "tls.crt"
	privateKey = "tls.key"
)

const dsnField = "spec.postgres.dsnSecretRef"

// database resolves a postgres store's Secret to what its pods get. While the
// Secret is missing or cannot be right there is a finding, and the pods go on
// with what they have.
func (c *compiler) database(st *storeState) {
	p := st.store.Spec.Postgres
	if p == nil {
		return
	}
	secret := c.secrets[Key{Namespace: st.key.Namespace, Name: p.DSNSecretRef.Name}]
	values := databaseValues(secret)
	in := databaseInput{store: st.store, secret: secret, values: values}
	if f := first(in, databaseChecks); f != nil {
		st.result.Findings = append(st.result.Findings, *f)
		return
	}
	st.result.Database = values
}

// databaseValues are the values under the known keys, and no others: nothing
// else of the Secret gets into a pod.
func databaseValues(secret *corev1.Secret) map[string]string {
	if secret == nil {
		return nil
	}
	values := map[string]string{}
	for _, key := range []string{dsnKey, caKey, certKey, privateKey} {
		if v := strings.TrimSpace(string(secret.Data[key])); v != "" {
			values[key] = v
		}
	}
	return values
}

// databaseInput is what the checks of a postgres store's Secret look at.
type databaseInput struct {
	store  *v1alpha1.ConversationStore
	secret *corev1.Secret
	values map[string]string
}

// databaseChecks see what a person mistakes; what the connection string means
// in full is for the pods, which try it.
var databaseChecks = []func(databaseInput) *Finding{checkDSNSecret, checkDSNForm, checkDSNPort, checkDatabaseTLS}

func checkDSNSecret(in databaseInput) *Finding {
	name := in.store.Spec.Postgres.DSNSecretRef.Name
	switch {
	case in.secret == nil:
		return secretNotUsable(dsnField, in.store.Namespace, name)
	case in.values[dsnKey] == "":
		return wrong(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonSecretKeyMissing, dsnField, fmt.Sprintf(
			"Secret %s has no value under the key %q; put the connection string there", name, dsnKey))
	}
	return nil
}

// The two forms of a connection string, as libpq has them.
var (
	dsnKeyword = regexp.MustCompile(`^\s*[a-z_]+\s*=`)
	dsnPort    = regexp.MustCompile(`(?:^|\s)port\s*=\s*'?([0-9]+)`)
)

func isURL(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

func checkDSNForm(in databaseInput) *Finding {
	dsn := in.values[dsnKey]
	switch {
	case strings.ContainsAny(dsn, "\r\n"):
		return databaseInvalid(in, dsnKey, "has more than one line; put the connection string there alone")
	case !isURL(dsn) && !dsnKeyword.MatchString(dsn):
		return databaseInvalid(in, dsnKey, "is no connection string; write it like postgres://user:password@host:5432/database")
	case !isURL(dsn):
		return nil
	}
	// The parser's own words would quote the password.
	if u, err := url.Parse(dsn); err != nil || u.Host == "" && u.Query().Get("host") == "" {
		return databaseInvalid(in, dsnKey, "is no URL with a host; write it like postgres://user:password@host:5432/database, with %XX in place of special characters in the password")
	}
	return nil
}

// checkDSNPort: the NetworkPolicy would swallow the connection, and the pods
// could only say that it timed out.
func checkDSNPort(in databaseInput) *Finding {
	named, want := portOf(in.values[dsnKey]), workload.DatabasePort(in.store)
	if named == 0 || named == want {
		return nil
	}
	return databaseInvalid(in, dsnKey, fmt.Sprintf("names another port than %d, which the NetworkPolicy opens; set spec.postgres.port to the port of the database", want))
}

// portOf is the one port that a connection string names; 0 when it names none,
// or several hosts, whose ports are for the pods to find out.
func portOf(dsn string) int32 {
	var text string
	if isURL(dsn) {
		if u, err := url.Parse(dsn); err == nil && !strings.Contains(u.Host, ",") {
			text = u.Port()
		}
	} else if m := dsnPort.FindStringSubmatch(dsn); m != nil {
		text = m[1]
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}

func checkDatabaseTLS(in databaseInput) *Finding {
	for _, key := range []string{caKey, certKey, privateKey} {
		if v := in.values[key]; v != "" {
			if block, _ := pem.Decode([]byte(v)); block == nil {
				return databaseInvalid(in, key, "is not PEM; it begins with -----BEGIN")
			}
		}
	}
	if (in.values[certKey] == "") != (in.values[privateKey] == "") {
		return databaseInvalid(in, certKey, fmt.Sprintf("and that of key %q go together; put both there, or neither", privateKey))
	}
	return nil
}

// databaseInvalid names the key and what is wrong with its value, never the value.
func databaseInvalid(in databaseInput, key, problem string) *Finding {
	return wrong(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonSecretValueInvalid, dsnField,
		fmt.Sprintf("the value of key %q in Secret %s %s", key, in.store.Spec.Postgres.DSNSecretRef.Name, problem))
}

// databaseStamp changes with what the pods connect with. While there is nothing
// new to connect with, the previous document's stays.
func databaseStamp(values map[string]string, previous *document.Document) string {
	if values != nil {
		sum := sha256.Sum256(mustJSON(values)) // maps are written in the order of their keys
		return hex.EncodeToString(sum[:8])
	}
	if previous == nil {
		return ""
	}
	var before document.StoreSettings
	if err := json.Unmarshal(previous.Settings, &before); err != nil {
		return ""
	}
	return before.Database
}
