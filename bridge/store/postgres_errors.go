package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// databaseError tells of PostgreSQL's trouble without what its own words may
// hold: users, hosts and passwords of the DSN, and values of rows.
type databaseError struct {
	text  string
	cause error
}

func (e *databaseError) Error() string { return e.text }

func (e *databaseError) Unwrap() error { return e.cause }

// unavailableStates are the SQLSTATEs, or their classes, that mean "nothing was
// committed, try again": the server, its disk, its locks, our credentials.
var unavailableStates = map[string]string{
	"08":    "the connection is broken",
	"0A":    "the schema changed under a prepared statement",
	"25006": "the database is read only; is it a standby?",
	"25P03": "the transaction was idle for too long",
	"26":    "a prepared statement is gone; does a pooler share connections between transactions?",
	"28":    "the credentials are refused",
	"3D":    "there is no such database",
	"40":    "the transaction lost against another one",
	"42501": "the user lacks a privilege",
	"53100": "the disk is full",
	"53300": "there are too many connections",
	"53":    "the server is short of resources",
	"55":    "something is in use",
	"57014": "the statement took too long",
	"57":    "the server is stopping or starting",
	"58":    "the server has trouble with its system",
	"XX":    "the server has trouble with its data",
}

// classify wraps what means "try again" in ErrUnavailable and takes secrets out
// of everything that comes from the driver. What is not its own stays as it is.
func (*postgresDialect) classify(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) {
		return err
	}
	if pe := (*pgconn.PgError)(nil); errors.As(err, &pe) {
		return classifyState(pe, err)
	}
	if ce := (*pgconn.ConnectError)(nil); errors.As(err, &ce) {
		return fmt.Errorf("%w: database: %w", ErrUnavailable, &databaseError{"no connection: " + plainCause(err), err})
	}
	if pe := (*pgconn.ParseConfigError)(nil); errors.As(err, &pe) {
		return &databaseError{"the DSN cannot be read", err}
	}
	var ne net.Error
	switch {
	case errors.As(err, &ne), pgconn.Timeout(err), pgconn.SafeToRetry(err), errors.Is(err, pgconn.ErrConnClosed),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		return fmt.Errorf("%w: database: %w", ErrUnavailable, &databaseError{"the connection broke: " + plainCause(err), err})
	}
	return err
}

func classifyState(pe *pgconn.PgError, err error) error {
	known := unavailableStates[pe.Code]
	if known == "" && len(pe.Code) == 5 {
		known = unavailableStates[pe.Code[:2]]
	}
	if known != "" {
		return fmt.Errorf("%w: database: %w", ErrUnavailable, &databaseError{fmt.Sprintf("%s (SQLSTATE %s)", known, pe.Code), err})
	}
	where := strings.Trim(pe.TableName+" "+pe.ConstraintName, " ")
	return &databaseError{strings.TrimSpace(fmt.Sprintf("database: SQLSTATE %s %s", pe.Code, where)), err}
}

// noTLS is what pgx says when the server does not speak TLS and the DSN insists
// on it; it has no type of its own.
const noTLS = "server refused TLS connection"

// untrusted is why the server's certificate is not accepted, in the words of the
// Secret that the DSN comes from; "" when it is about something else.
func untrusted(err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &authority):
		return "the server's certificate is of an authority that is not trusted; ca.crt beside the DSN must hold the one that signed it"
	case errors.As(err, &host):
		return "the server's certificate is for another host than the one in the DSN"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the server's certificate has expired or is not valid yet"
	case errors.As(err, &verify):
		return "the server's certificate is not acceptable"
	}
	return ""
}

// plainCause is the innermost reason of a broken connection.
func plainCause(err error) string {
	if reason := untrusted(err); reason != "" {
		return reason
	}
	switch op := (*net.OpError)(nil); {
	case errors.As(err, &op):
		return op.Err.Error()
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "given up"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed it"
	case strings.Contains(err.Error(), noTLS):
		return "the server does not speak TLS, and sslmode in the DSN asks for it"
	}
	return "see the DSN, and whether the server can be reached"
}

// lost says that nothing stands in the way of doing it again at once.
func (*postgresDialect) lost(err error) bool {
	pe := (*pgconn.PgError)(nil)
	return errors.As(err, &pe) && (pe.Code == "40P01" || pe.Code == "40001")
}

// contended says that somebody else had a lock, or wanted ours.
func contended(err error) bool {
	pe := (*pgconn.PgError)(nil)
	return errors.As(err, &pe) && (pe.Code == "55P03" || pe.Code == "40P01" || pe.Code == "40001")
}

// isUniqueViolation says that another row has the key.
func isUniqueViolation(err error) bool {
	pe := (*pgconn.PgError)(nil)
	return errors.As(err, &pe) && pe.Code == "23505"
}

// notThereYet says that a server is not reachable or not ready, rather than
// that it refuses us.
func notThereYet(err error) bool {
	if pe := (*pgconn.PgError)(nil); errors.As(err, &pe) {
		return strings.HasPrefix(pe.Code, "57P") || strings.HasPrefix(pe.Code, "08") || pe.Code == "53300"
	}
	ce := (*pgconn.ConnectError)(nil)
	return errors.As(err, &ce) && untrusted(err) == "" && !strings.Contains(err.Error(), noTLS)
}
