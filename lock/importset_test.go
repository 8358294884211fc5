package lock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/lock/store"
)

// importAll imports as a caller does: what one transaction did not take goes
// into the next. It counts the transactions.
func (r *rig) importAll(list []lock.NewVersion) (out []lock.Outcome, transactions int) {
	r.t.Helper()
	for len(list) > 0 {
		done := must(r.Import(r.ctx, alice, list))
		if len(done) == 0 {
			r.t.Fatal("an import takes nothing in")
		}
		out, list = append(out, done...), list[len(done):]
		transactions++
	}
	return out, transactions
}

func dated(nv lock.NewVersion, day int) lock.NewVersion {
	nv.Import, nv.Created = true, time.Date(2020, 1, 1+day, 0, 0, 0, 0, time.UTC)
	return nv
}

// Forty versions, one of them twice with other content and one with a name
// that differs in case only: the others are published in order, and nothing is
// left of the two.
func TestImportIsInOrderAndPassesOverWhatIsRefused(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		var list []lock.NewVersion
		for n := range 40 {
			list = append(list, dated(version(hub(fmt.Sprintf("1.%d.0", n)), ""), n))
		}
		list[20] = dated(version(hub("1.3.0"), "other"), 20)
		list[21] = dated(version(chart("JupyterHub", "1.4.0"), ""), 21)
		list[22] = list[2] // the same again
		before := len(r.lines())
		out, transactions := r.importAll(list)

		seq := uint64(0)
		for n, o := range out {
			switch {
			case n == 20 || n == 21:
				if !errors.Is(o.Err, lock.ErrExists) || !strings.Contains(o.Err.Error(), list[n].Version.Chart.String()) {
					t.Errorf("%d: the error is %v", n, o.Err)
				}
				if used := must(r.BlobUsed(r.ctx, list[n].Version.Package)); used {
					t.Errorf("%d: the package of a refused version is in use", n)
				}
			case n == 22:
				if o.Err != nil || !o.Existed || o.Chart.Seq != out[2].Chart.Seq {
					t.Errorf("%d: %+v", n, o)
				}
			case o.Err != nil || o.Existed || o.Chart.Seq <= seq || o.Chart.OrderUnknown || !o.Chart.Imported:
				t.Errorf("%d: %+v after sequence %d", n, o, seq)
			default:
				seq = o.Chart.Seq
			}
		}
		lines := r.lines()[before:]
		if len(lines) != transactions || transactions > 4 || lines[0].Verb != "importset" || !strings.HasSuffix(lines[0].Object, " chart versions") {
			t.Errorf("%d transactions for 40 versions, %d lines, the first %+v", transactions, len(lines), lines[0])
		}
	})
}

// What is there already leaves nothing, and a provenance file that it lacked
// has a line of its own.
func TestImportAgain(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		list := []lock.NewVersion{dated(version(hub("1.0.0"), ""), 1), dated(version(hub("2.0.0"), ""), 2)}
		r.importAll(list)
		before := r.dump()
		out, _ := r.importAll(list)
		if !out[0].Existed || !out[1].Existed || r.dump() != before {
			t.Errorf("imported again as %+v", out)
		}
		list[0].Version.Provenance, list[0].ProvenanceSize = digest("signature"), 9
		list = append(list[:1:1], dated(version(hub("3.0.0"), ""), 3))
		n := len(r.lines())
		out, transactions := r.importAll(list)
		lines := r.lines()[n:]
		if transactions != 2 || len(lines) != 2 || lines[0].Verb != "provenance" || lines[1].Verb != "import" || out[0].Chart.Provenance != digest("signature") {
			t.Errorf("%d transactions, lines %+v", transactions, lines)
		}
	})
}

// A transaction takes what its limits allow: of versions with long metadata
// fewer, of one that is too long by itself none, and the others do not mind.
func TestImportKeepsTheLimitsOfATransaction(t *testing.T) {
	r := checked(t)
	long := func(v string, bytes int) lock.NewVersion {
		nv := dated(version(hub(v), ""), 1)
		nv.Version.Metadata = []byte(`{"description":"` + strings.Repeat("x", bytes) + `"}`)
		return nv
	}
	out, transactions := r.importAll([]lock.NewVersion{
		long("1.0.0", 200<<10), long("2.0.0", 200<<10), long("3.0.0", 600<<10), long("4.0.0", 200<<10),
	})
	if transactions != 2 || out[0].Err != nil || out[1].Err != nil || !errors.Is(out[2].Err, store.ErrTooLarge) || out[3].Err != nil {
		t.Errorf("%d transactions: %v, %v, %v, %v", transactions, out[0].Err, out[1].Err, out[2].Err, out[3].Err)
	}
	r.refused(lock.ErrInvalid, func() error { _, err := r.Import(r.ctx, alice, nil); return err })
}

// A commit that fails leaves nothing of any of them.
func TestImportThatFailsLeavesNothing(t *testing.T) {
	s := memstore.New()
	r := checkedOn(t, s)
	before := r.dump()
	s.SetFault(func(step string) error {
		if step == "commit" {
			return store.ErrNoSpace
		}
		return nil
	})
	_, err := r.Import(context.Background(), alice, []lock.NewVersion{version(hub("1.0.0"), ""), version(hub("2.0.0"), "")})
	s.SetFault(nil)
	if !errors.Is(err, store.ErrNoSpace) || r.dump() != before {
		t.Errorf("the error is %v", err)
	}
}

// Check reads every version out of a line that stands for several: one that
// is changed behind its back is found.
func TestALineOfSeveralImportsIsReplayed(t *testing.T) {
	s := memstore.New()
	r := open(t, s)
	r.importAll([]lock.NewVersion{dated(version(hub("1.0.0"), ""), 1), dated(version(hub("2.0.0"), ""), 2)})
	if p := r.problems(); len(p) > 0 {
		t.Fatalf("it has problems: %q", p)
	}
	err := s.Update(r.ctx, func(tx store.Txn) error {
		raw, err := tx.Get("charts", "jupyterhub\x002.0.0")
		if err != nil {
			return err
		}
		return tx.Put("charts", "jupyterhub\x002.0.0", []byte(strings.Replace(string(raw), `"size":1000`, `"size":1001`, 1)))
	})
	if err != nil {
		t.Fatal(err)
	}
	if p := r.problems(); len(p) != 1 || !strings.Contains(p[0], "jupyterhub@2.0.0") {
		t.Errorf("the problems are %q", p)
	}
}
