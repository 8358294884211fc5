package lock

import (
	"context"
	"sync"
)

// Memo keeps answers under a name, each as long as what it was made from
// holds: it gives what making the answer again would give. It keeps at least
// the Size names that were asked for last, and at most twice as many. Who gets
// an answer must not change it.
type Memo[T any] struct {
	Size int

	mu       sync.Mutex
	now, old map[string]kept[T]
}

type kept[T any] struct {
	answer T
	basis  *Basis
}

// Get returns the answer under the name, or makes it from l.
func (m *Memo[T]) Get(ctx context.Context, l *Lockfile, name string, answer func(*Lockfile) (T, error)) (T, error) {
	if k, ok := m.find(name); ok && k.basis.Holds(ctx) {
		return k.answer, nil
	}
	var out T
	b, err := l.Watch(func(l *Lockfile) (err error) {
		out, err = answer(l)
		return err
	})
	if err == nil {
		m.put(name, kept[T]{out, b})
	}
	return out, err
}

func (m *Memo[T]) find(name string) (kept[T], bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.now[name]
	if !ok {
		if k, ok = m.old[name]; ok {
			m.add(name, k)
		}
	}
	return k, ok
}

func (m *Memo[T]) put(name string, k kept[T]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(name, k)
}

func (m *Memo[T]) add(name string, k kept[T]) {
	if _, ok := m.now[name]; !ok && len(m.now) >= m.Size {
		m.now, m.old = nil, m.now
	}
	if m.now == nil {
		m.now = make(map[string]kept[T])
	}
	m.now[name] = k
}
