package kept

import (
	"context"

	"chartd.dev/chartd/internal/recent"
)

// Watcher is what answers are made from, such as a lock file: Watch makes one
// and returns what it was made from.
type Watcher[L any] interface {
	Watch(answer func(L) error) (*Basis, error)
}

// Memo keeps answers under a name, each as long as what it was made from
// holds: it gives what making the answer again would give. Who gets an answer
// must not change it.
type Memo[L Watcher[L], T any] struct{ answers recent.Map[string, held[T]] }

// NewMemo returns an empty Memo that keeps size answers.
func NewMemo[L Watcher[L], T any](size int) *Memo[L, T] {
	return &Memo[L, T]{recent.Map[string, held[T]]{Size: size}}
}

type held[T any] struct {
	answer T
	basis  *Basis
}

// Get returns the answer under the name, or makes it from l.
func (m *Memo[L, T]) Get(ctx context.Context, l L, name string, answer func(L) (T, error)) (T, error) {
	if k, ok := m.answers.Find(name); ok && k.basis.Holds(ctx) {
		return k.answer, nil
	}
	var out T
	b, err := l.Watch(func(l L) (err error) {
		out, err = answer(l)
		return err
	})
	if err == nil {
		m.answers.Put(name, held[T]{out, b})
	}
	return out, err
}
