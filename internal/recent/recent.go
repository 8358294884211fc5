// Package recent keeps what was used last, within a bound, for caches whose
// entries are checked by whoever takes them.
package recent

import "sync"

// Map keeps at least the Size keys that were used last, and at most twice as
// many: a generation and the one before it. It may be used concurrently.
type Map[K comparable, V any] struct {
	Size int

	mu       sync.Mutex
	now, old map[K]V
}

// Find returns what is kept under a key, which counts as a use of it.
func (m *Map[K, V]) Find(key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.now[key]
	if !ok {
		if v, ok = m.old[key]; ok {
			m.add(key, v)
		}
	}
	return v, ok
}

// Put keeps a value under a key.
func (m *Map[K, V]) Put(key K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(key, v)
}

// Len is how many entries take up memory, those of a key in both generations
// twice.
func (m *Map[K, V]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.now) + len(m.old)
}

func (m *Map[K, V]) add(key K, v V) {
	if _, ok := m.now[key]; !ok && len(m.now) >= m.Size {
		m.now, m.old = nil, m.now
	}
	if m.now == nil {
		m.now = make(map[K]V)
	}
	m.now[key] = v
}
