//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
	"github.com/bridgekeeper/bridgekeeper/hack/absent"
	"github.com/bridgekeeper/bridgekeeper/hack/postgres"
)

// Of hack/cluster: where pods reach servers of the machine, and their network.
const (
	nodeAddress = "10.244.0.1"
	podNetwork  = "10.244.0.0/23"
)

// database is a server beside the cluster, with one database for roles that
// come with a password.
type database struct {
	*postgres.Server
	dsn  string // of the administrator
	name string
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	l, err := net.Listen("tcp", nodeAddress+":0")
	if err != nil {
		absent.Skip(t, "a store on PostgreSQL, as the nodes of this cluster are elsewhere", err)
	}
	require.NoError(t, l.Close())
	server, err := postgres.Start(t.Context(), postgres.Options{Fsync: true, Address: nodeAddress, Network: podNetwork})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	d := &database{Server: server}
	d.dsn, err = server.NewDatabase(t.Context())
	require.NoError(t, err)
	d.name, err = server.Query(t.Context(), d.dsn, "SELECT current_database()")
	require.NoError(t, err)
	require.NoError(t, server.Exec(t.Context(), d.dsn, "CREATE ROLE owner; GRANT CREATE, USAGE ON SCHEMA public TO owner"))
	return d
}

// login makes a role that owns what its fellows own, and returns its DSN.
func (d *database) login(t *testing.T, name string) string {
	t.Helper()
	password := secret()
	require.NoError(t, d.Exec(t.Context(), d.dsn, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s' IN ROLE owner; ALTER ROLE %s SET role = 'owner'", name, password, name)))
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", name, password, net.JoinHostPort(nodeAddress, d.Port()), d.name)
}

// newPostgresShop is a shop whose store has two pods on a database, which they log
// in to as first.
func newPostgresShop(t *testing.T) (*shop, *database) {
	t.Helper()
	db := newDatabase(t)
	port, err := strconv.Atoi(db.Port())
	require.NoError(t, err)
	s := openShop(t)
	s.keepSecret("database", map[string]string{"dsn": db.login(t, "first")})
	s.furnish(v1alpha1.ConversationStoreSpec{Postgres: &v1alpha1.PostgresBackend{
		DSNSecretRef: v1alpha1.SecretReference{Name: "database"}, Replicas: ptr.To[int32](2), Port: int32(port), //nolint:gosec // a port
	}})
	return s, db
}

// TestPostgres: two store pods on one database; one of them is lost, the
// database is away for a while, the password changes, and nothing is lost.
func TestPostgres(t *testing.T) {
	t.Parallel()
	s, db := newPostgresShop(t)
	store := &v1alpha1.ConversationStore{ObjectMeta: s.meta("default")}
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()
	customer := b.converse("Ana")
	var want []string
	write := func(prefix string) string {
		m := text(prefix)
		want = append(want, m)
		require.NoError(t, customer.Write(t.Context(), m))
		return m
	}

	pods, err := run.cluster.readyPods(t.Context(), s.namespace, workload.StoreSelector("default"))
	require.NoError(t, err)
	require.Len(t, pods, 2)
	kill(t, &pods[0])
	b.awaitMessage(write("A pod is lost"), soon)

	db.Stop()
	missed := write("The database is away")
	eventually(t, soon, "it is told", s.condition(store, v1alpha1.ConditionDatabaseReachable, metav1.ConditionFalse, ""))
	require.NoError(t, db.Start(t.Context()))
	b.awaitMessage(missed, startup)
	eventually(t, soon, "it is told", s.condition(store, v1alpha1.ConditionDatabaseReachable, metav1.ConditionTrue, ""))

	s.keepSecret("database", map[string]string{"dsn": db.login(t, "second")})
	eventually(t, startup, "both pods use the new login", func(ctx context.Context) error {
		old, err := db.Query(ctx, db.dsn, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'first'")
		if err == nil && old != "0" {
			err = fmt.Errorf("%s connections with the old login", old)
		}
		return err
	})
	require.NoError(t, db.Exec(t.Context(), db.dsn, "ALTER ROLE first NOLOGIN"))
	b.awaitMessage(write("After the rotation"), soon)
	s.awaitCurrent(startup, store)

	var got []string
	all, err := s.desk.Messages(t.Context(), b.key(), message.Inbound)
	require.NoError(t, err)
	for _, m := range all[1:] { // the first is the conversation's at the beginning
		got = append(got, m.Text)
	}
	assert.Equal(t, want, got, "each once, in order")
}
