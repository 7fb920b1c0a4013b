package keyword

import "bytes"

// Set finds many phrases in one pass over a text. Phrases are numbered in the order
// in which they are first added. The zero value is empty and ready. After the last
// Add it is safe for concurrent use.
type Set struct {
	phrases []Phrase
	ids     map[string]int
	// byWord are the phrases that begin with a whole word, by that word; inside are
	// those that may begin within a run of text.
	byWord map[string][]int
	inside []int
}

// Add numbers a phrase; equal ones get one number.
func (s *Set) Add(p Phrase) int {
	if id, known := s.ids[p.String()]; known {
		return id
	}
	if s.ids == nil {
		s.ids, s.byWord = map[string]int{}, map[string][]int{}
	}
	id := len(s.phrases)
	s.ids[p.String()] = id
	s.phrases = append(s.phrases, p)
	if word, ok := firstWord(p.folded); ok {
		s.byWord[word] = append(s.byWord[word], id)
	} else {
		s.inside = append(s.inside, id)
	}
	return id
}

// firstWord is the word that a folded phrase begins with, if both of its ends are
// ends of a word.
func firstWord(folded []byte) (string, bool) {
	if len(folded) == 0 || folded[0] != ' ' {
		return "", false
	}
	word, _, ended := bytes.Cut(folded[1:], []byte{' '})
	return string(word), ended
}

// Len is how many phrases there are.
func (s *Set) Len() int { return len(s.phrases) }

// Find sets found[id] for every phrase that stands in a folded text. found has Len
// entries, all false. It does not allocate.
func (s *Set) Find(folded []byte, found []bool) {
	for _, id := range s.inside {
		found[id] = s.phrases[id].In(folded)
	}
	if len(s.byWord) == 0 {
		return
	}
	for start := 0; start < len(folded)-1; {
		length := bytes.IndexByte(folded[start+1:], ' ')
		if length < 0 {
			return
		}
		for _, id := range s.byWord[string(folded[start+1:start+1+length])] {
			if bytes.HasPrefix(folded[start:], s.phrases[id].folded) {
				found[id] = true
			}
		}
		start += 1 + length
	}
}
