package lock

import (
	"context"

	"chartd.dev/chartd/internal/recent"
)

// Memo keeps answers under a name, each as long as what it was made from
// holds: it gives what making the answer again would give. Who gets an answer
// must not change it.
type Memo[T any] struct{ answers recent.Map[string, kept[T]] }

// NewMemo returns an empty Memo that keeps size answers.
func NewMemo[T any](size int) *Memo[T] {
	return &Memo[T]{recent.Map[string, kept[T]]{Size: size}}
}

type kept[T any] struct {
	answer T
	basis  *Basis
}

// Get returns the answer under the name, or makes it from l.
func (m *Memo[T]) Get(ctx context.Context, l *Lockfile, name string, answer func(*Lockfile) (T, error)) (T, error) {
	if k, ok := m.answers.Find(name); ok && k.basis.Holds(ctx) {
		return k.answer, nil
	}
	var out T
	b, err := l.Watch(func(l *Lockfile) (err error) {
		out, err = answer(l)
		return err
	})
	if err == nil {
		m.answers.Put(name, kept[T]{out, b})
	}
	return out, err
}
