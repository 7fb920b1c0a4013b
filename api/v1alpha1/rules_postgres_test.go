package v1alpha1_test

const (
	oneBackend  = "sqlite and postgres exclude each other: a store has one backend"
	sameBackend = "the backend is immutable: conversations do not move by themselves; make another ConversationStore and name it in storeRef"
)

// database is a usable spec.postgres.
var database = fields{"dsnSecretRef": fields{"name": "database"}}

var onPostgres = fields{"spec.postgres": database}

var postgresRules = []rule{
	{covers: "spec rule: " + oneBackend, field: "spec.postgres", with: fields{"spec.sqlite": fields{}}, bad: database, want: oneBackend},
	{covers: "spec rule: " + oneBackend, field: "spec.sqlite", with: onPostgres, bad: fields{}, want: oneBackend},
	{covers: "spec rule: " + sameBackend, field: "spec.postgres", old: database, bad: nil, good: fields{"dsnSecretRef": fields{"name": "other"}}, want: sameBackend},
	{covers: "spec rule: " + sameBackend, field: "spec", old: fields{}, bad: onPostgresSpec, good: fields{"sqlite": fields{}}, want: sameBackend},
	{covers: "spec rule: " + sameBackend, field: "spec", old: fields{"sqlite": fields{}}, bad: onPostgresSpec, good: fields{}, want: sameBackend},
	{covers: "spec.postgres required dsnSecretRef", field: "spec.postgres", bad: fields{}, good: database, want: "dsnSecretRef: " + required},
	{covers: "spec.postgres.dsnSecretRef required name", field: "spec.postgres.dsnSecretRef", bad: fields{}, good: fields{"name": "a"}, want: "name: " + required},
	{covers: "spec.postgres.dsnSecretRef.name minLength", field: "spec.postgres.dsnSecretRef.name", bad: "", good: "a", want: tooShort},
	{covers: "spec.postgres.dsnSecretRef.name maxLength", field: "spec.postgres.dsnSecretRef.name", bad: letters(254), good: letters(253), want: "Too long"},
	{covers: "spec.postgres.replicas minimum", field: "spec.postgres.replicas", with: onPostgres, bad: 0, good: 1, want: atLeast},
	{covers: "spec.postgres.replicas maximum", field: "spec.postgres.replicas", with: onPostgres, bad: 17, good: 16, want: atMost},
	{covers: "spec.postgres.port minimum", field: "spec.postgres.port", with: onPostgres, bad: -1, good: 1, want: atLeast},
	{covers: "spec.postgres.port maximum", field: "spec.postgres.port", with: onPostgres, bad: 65536, good: 65535, want: atMost},
}

var onPostgresSpec = fields{"postgres": database}
