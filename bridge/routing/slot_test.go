package routing

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/hack/absent"
)

// The published vectors: these numbers never change.
var slotVectors = []struct {
	parts []string
	slot  int
}{
	{[]string{"cx/retail-inbound", "vip-billing", "gold-team", "contact-1"}, 2851},
	{[]string{"cx/retail-inbound", "vip-billing", "gold-team", "contact-2"}, 2833},
	{[]string{"cx/retail-inbound", "vip-billing", "gold-team", "Ünï-3"}, 1618},
	{[]string{"cx/retail-inbound", "vip-billing", "gold-team", "U\u0308ni\u0308-3"}, 1618}, // the same, decomposed
	{[]string{"cx/nps-q4", "sample", "contact-1"}, 3881},
	{[]string{"cx/nps-q4", "arm", "contact-1"}, 4987},
	{[]string{"group/customer-surveys", "holdout", "contact-1"}, 7083},
	{[]string{"", "", "", ""}, 4399},
}

func TestSlotVectors(t *testing.T) {
	for _, v := range slotVectors {
		assert.Equal(t, v.slot, Slot(v.parts...), "%q", v.parts)
	}
}

func TestSlotLongKeys(t *testing.T) {
	long := strings.Repeat("ü", 600)
	sum := sha256.Sum256([]byte(long + "\x00a"))
	want := int(binary.BigEndian.Uint64(sum[:8]) >> 32 * Slots >> 32) // the upper half decides but for one in four billion
	assert.Equal(t, want, Slot(long, "a"))
}

// Over 100 000 contacts: the counts that the specification names.
func TestSlotShares(t *testing.T) {
	var sample, arm, holdout, both int
	for i := range 100_000 {
		contact := fmt.Sprintf("contact-%d", i)
		inSample, inArm := Slot("cx/nps-q4", "sample", contact) < 1250, Slot("cx/nps-q4", "arm", contact) < 5000
		for _, counted := range []struct {
			is bool
			n  *int
		}{{inSample, &sample}, {inArm, &arm}, {Slot("group/customer-surveys", "holdout", contact) < 1000, &holdout}, {inSample && inArm, &both}} {
			if counted.is {
				*counted.n++
			}
		}
	}
	assert.Equal(t, [4]int{12_399, 50_045, 9_986, 6_270}, [4]int{sample, arm, holdout, both})
}

func TestPick(t *testing.T) {
	tests := []struct {
		slot    int
		weights []int
		want    int
	}{
		{0, []int{1}, 0}, {9999, []int{1}, 0},
		{9499, []int{95, 5}, 0}, {9500, []int{95, 5}, 1}, {9999, []int{95, 5}, 1},
		{4999, []int{1, 1}, 0}, {5000, []int{1, 1}, 1},
		{3332, []int{1, 1, 1}, 0}, {3333, []int{1, 1, 1}, 1}, {6666, []int{1, 1, 1}, 2},
		{0, []int{0, 1}, 1}, {9999, []int{1, 0}, 0}, {5000, []int{1, 0, 1}, 2},
		{0, nil, -1}, {0, []int{0, 0}, -1}, {0, []int{-5}, -1}, {Slots, []int{1}, -1},
		{0, []int{1, 999_999}, 1}, // less than one slot is none
		{0, []int{1 << 62, 1 << 62}, 0},
	}
	for _, test := range tests {
		assert.Equal(t, test.want, Pick(test.slot, test.weights), "Pick(%d, %v)", test.slot, test.weights)
	}
}

func drawWeights(t *rapid.T) []int {
	return rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, MaxWeight)), 1, 8).Draw(t, "weights")
}

func TestRaisingTheLastWeightOnlyAddsToIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := drawWeights(t)
		last := len(weights) - 1
		more := append(append([]int{}, weights[:last]...), rapid.IntRange(weights[last], MaxWeight).Draw(t, "more"))
		for slot := range Slots {
			if Pick(slot, weights) == last && Pick(slot, more) != last {
				t.Fatalf("slot %d left the last", slot)
			}
		}
	})
}

func TestPickIsTotalAndFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := drawWeights(t)
		sum := 0
		for _, w := range weights {
			sum += w
		}
		counts := make([]int, len(weights))
		previous := 0
		for slot := range Slots {
			i := Pick(slot, weights)
			if (sum == 0) != (i < 0) {
				t.Fatalf("slot %d gets %d of %v", slot, i, weights)
			}
			if i < 0 {
				continue
			}
			if i < previous {
				t.Fatalf("slot %d: ranges are not in list order", slot)
			}
			previous = i
			counts[i]++
		}
		for i, w := range weights {
			if sum > 0 {
				require.InDelta(t, float64(w)*Slots/float64(sum), counts[i], 1, "weight %d", i)
			}
			if w == 0 {
				require.Zero(t, counts[i])
			}
		}
	})
}

// otherLanguages are keys and weights for which SQL and Python must agree with Go.
type splitCase struct {
	parts   []string
	weights []int
}

func splitCases() []splitCase {
	cases := []splitCase{{[]string{"a"}, []int{0, 0}}}
	for _, v := range slotVectors {
		cases = append(cases, splitCase{v.parts, []int{95, 5}})
	}
	for i := range 2000 {
		cases = append(cases, splitCase{[]string{"cx/ü", fmt.Sprintf("rule-%d", i%7), "e\u0301tape", fmt.Sprintf("contact-%d", i)}, []int{i % 11, 7, 0, i % 1000 * 1000, 1}})
	}
	return cases
}

func TestPythonComputesTheSame(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		absent.Skip(t, "the split against testdata/split.py (the published vectors are checked all the same)", err)
	}
	var in bytes.Buffer
	var want strings.Builder
	for _, c := range splitCases() {
		line, err := json.Marshal([]any{c.parts, c.weights})
		require.NoError(t, err)
		in.Write(append(line, '\n'))
		slot := Slot(c.parts...)
		fmt.Fprintln(&want, slot, Pick(slot, c.weights))
	}
	command := exec.Command(python, "testdata/split.py")
	command.Stdin = &in
	got, err := command.Output()
	require.NoError(t, err)
	require.Equal(t, want.String(), string(got))
}

// SQLite has no SHA-256, PostgreSQL has: here the hash comes from Go, all of the
// arithmetic from SQL.
var registerSQL = sync.OnceValue(func() error {
	if err := sqlite.RegisterDeterministicScalarFunction("sha256", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		sum := sha256.Sum256(args[0].([]byte))
		return sum[:], nil
	}); err != nil {
		return err
	}
	return sqlite.RegisterDeterministicScalarFunction("key_u32", 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		return int64(binary.BigEndian.Uint32(args[0].([]byte)[args[1].(int64):])), nil
	})
})

func TestSQLComputesTheSame(t *testing.T) {
	require.NoError(t, registerSQL())
	db, err := sql.Open("sqlite", ":memory:")
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE keys (id INTEGER PRIMARY KEY, key BLOB); CREATE TABLE weights (id INTEGER, position INTEGER, weight INTEGER, PRIMARY KEY (id, position))`)
	require.NoError(t, err)
	cases := splitCases()
	tx, err := db.Begin()
	require.NoError(t, err)
	for id, c := range cases {
		_, err = tx.Exec(`INSERT INTO keys VALUES (?, ?)`, id, normalised(strings.Join(c.parts, "\x00")))
		require.NoError(t, err)
		for position, weight := range c.weights {
			_, err = tx.Exec(`INSERT INTO weights VALUES (?, ?, ?)`, id, position, weight)
			require.NoError(t, err)
		}
	}
	require.NoError(t, tx.Commit())
	query, err := os.ReadFile("testdata/split.sql")
	require.NoError(t, err)
	rows, err := db.Query(string(query))
	require.NoError(t, err)
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var id, slot, pick int
		require.NoError(t, rows.Scan(&id, &slot, &pick))
		want := Slot(cases[id].parts...)
		require.Equal(t, want, slot, "%q", cases[id].parts)
		require.Equal(t, Pick(want, cases[id].weights), pick, "%q %v", cases[id].parts, cases[id].weights)
	}
	require.NoError(t, rows.Err())
	require.Len(t, cases, n)
}

func TestSlotDoesNotAllocate(t *testing.T) {
	assert.Zero(t, testing.AllocsPerRun(100, func() { Slot("cx/retail-inbound", "vip-billing", "gold-team", "Ünï-3") }))
}
