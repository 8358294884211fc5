package recent

import "testing"

func TestWhatWasUsedLastIsKept(t *testing.T) {
	m := Map[int, string]{Size: 4}
	m.Put(0, "kept")
	for n := 1; n <= 100; n++ {
		m.Put(n, "passing")
		if v, ok := m.Find(0); !ok || v != "kept" {
			t.Fatalf("after %d others the one in use is %q, %v", n, v, ok)
		}
		if m.Len() > 2*m.Size {
			t.Fatalf("%d entries, the bound is %d", m.Len(), 2*m.Size)
		}
	}
	for n := 98; n <= 100; n++ {
		if _, ok := m.Find(n); !ok {
			t.Errorf("%d was put last and is gone", n)
		}
	}
	if _, ok := m.Find(1); ok {
		t.Error("1 was put first, never used, and is still there")
	}
	m.Put(0, "new")
	if v, _ := m.Find(0); v != "new" {
		t.Errorf("the value put last is %q", v)
	}
}
