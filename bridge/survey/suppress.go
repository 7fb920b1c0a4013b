package survey

// smallestCell is the smallest number of people that anything is published
// about: with fewer, a manager who knows whom was asked knows who answered what.
const smallestCell = 5

// small says that a count is about fewer people than may be told of.
func small(n int) bool { return n > 0 && n < smallestCell }

// hide says which cells of a table with a published total must not be shown:
// those of 1 to 4 people, and where the total would give them away (one alone is
// hidden, or all hidden together are fewer than 5) the smallest others as well.
// Cells of 0 are about nobody and are shown.
func hide(counts []int) []bool {
	hidden := make([]bool, len(counts))
	n, sum := 0, 0
	for i, count := range counts {
		if small(count) {
			hidden[i] = true
			n, sum = n+1, sum+count
		}
	}
	for n == 1 || n > 0 && sum < smallestCell {
		smallest := -1
		for i, count := range counts {
			if !hidden[i] && count > 0 && (smallest < 0 || count < counts[smallest]) {
				smallest = i
			}
		}
		if smallest < 0 {
			break
		}
		hidden[smallest] = true
		n, sum = n+1, sum+counts[smallest]
	}
	return hidden
}

// Cell is one count of a table. N is 0 where it is Hidden.
type Cell struct {
	Name   string `json:"name"`
	N      int    `json:"n"`
	Hidden bool   `json:"hidden,omitempty"`
}

// cells are the counts of a table with its total published.
func cells(names []string, counts []int) []Cell {
	hidden := hide(counts)
	made := make([]Cell, len(counts))
	for i, count := range counts {
		made[i] = Cell{Name: names[i], N: count, Hidden: hidden[i]}
		if hidden[i] {
			made[i].N = 0
		}
	}
	return made
}
