package lock_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

func TestPublishAgain(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		first := must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
		r.pass(time.Hour)
		before := r.dump()

		again := must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
		repacked := version(hub("1.0.0"), "")
		repacked.Version.Package = digest("other bytes")
		same := must(r.Publish(r.ctx, alice, repacked))
		for _, p := range []lock.Published{again, same} {
			if !p.Existed || p.Chart.Package != first.Chart.Package || !p.Chart.Created.Equal(first.Chart.Created) {
				t.Errorf("the same content is answered with %+v", p)
			}
		}
		if r.dump() != before {
			t.Error("the same content changed something")
		}
		other := version(hub("1.0.0"), "other")
		r.refused(lock.ErrExists, func() error {
			_, err := r.Publish(r.ctx, alice, other)
			return err
		}, first.Chart.Package.String(), other.Version.Package.String())
	})
}

func TestRetiredVersionIsNeverReused(t *testing.T) {
	r := checked(t)
	for _, v := range []string{"1.0.0", "2.0.0"} {
		must(r.Publish(r.ctx, alice, version(hub(v), "")))
	}
	must(r.Yank(r.ctx, alice, hub("1.0.0"), "broken"))
	must(r.Purge(r.ctx, alice, hub("2.0.0"), "secret"))
	for _, v := range []string{"1.0.0", "2.0.0"} {
		for _, content := range []string{"", "other"} {
			r.refused(lock.ErrExists, func() error {
				_, err := r.Publish(r.ctx, alice, version(hub(v), content))
				return err
			}, v)
		}
	}
	used, err := r.BlobUsed(r.ctx, digest("package "+hub("1.0.0").String()))
	if err != nil || !used {
		t.Errorf("a yanked package is used: %v, %v", used, err)
	}
	if used = must(r.BlobUsed(r.ctx, digest("package "+hub("2.0.0").String()))); used {
		t.Error("a purged package is still used")
	}
	r.refused(lock.ErrRefused, func() error { _, err := r.Yank(r.ctx, alice, hub("2.0.0"), ""); return err }, "purged")
	before := r.dump()
	must(r.Yank(r.ctx, alice, hub("1.0.0"), "again"))
	if r.dump() != before {
		t.Error("a second yank changed something")
	}
	r.refused(lock.ErrInvalid, func() error {
		_, err := r.Purge(r.ctx, alice, hub("1.0.0"), string(make([]byte, 300)))
		return err
	}, "1800 bytes")
}

func TestTwins(t *testing.T) {
	for _, c := range []struct {
		name           string
		there, version ref.ChartVersion
		imported, ok   bool
	}{
		{"case of version", hub("1.0.0-RC"), hub("1.0.0-rc"), false, false},
		{"case of version, import", hub("1.0.0-RC"), hub("1.0.0-rc"), true, false},
		{"case of name, import", chart("Hub", "1.0.0"), chart("hub", "1.0.0"), true, false},
		{"build metadata", hub("1.0.0+a"), hub("1.0.0+b"), false, true},
		{"build metadata added", hub("1.0.0"), hub("1.0.0+b"), false, true},
		{"build metadata gone", hub("1.0.0+a"), hub("1.0.0"), false, true},
		{"build metadata, import", hub("1.0.0+a"), hub("1.0.0+b"), true, true},
		{"leading v", hub("1.0.0"), hub("v1.0.0"), false, true},
		{"leading v gone", hub("v1.0.0+a"), hub("1.0.0"), false, true},
		{"file name", chart("foo-1", "2.0.0"), chart("foo", "1-2.0.0"), true, false},
		{"other prerelease", hub("1.0.0-a"), hub("1.0.0-b"), false, true},
		{"other chart", chart("one", "1.0.0"), chart("two", "1.0.0"), false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := checked(t)
			old := version(c.there, "")
			old.Import = true
			must(r.Publish(r.ctx, alice, old))
			nv := version(c.version, "")
			nv.Import = c.imported
			if c.ok {
				p := must(r.Publish(r.ctx, alice, nv))
				same, _, _ := strings.Cut(strings.TrimPrefix(c.version.Version(), "v"), "+")
				other, _, _ := strings.Cut(strings.TrimPrefix(c.there.Version(), "v"), "+")
				if twin := same == other && c.version.Name() == c.there.Name(); twin != (len(p.Chart.Warnings) == 1) {
					t.Errorf("the warnings are %q", p.Chart.Warnings)
				}
				return
			}
			r.refused(lock.ErrExists, func() error { _, err := r.Publish(r.ctx, alice, nv); return err }, c.there.String())
		})
	}
}

func TestCreatedNeverGoesBack(t *testing.T) {
	r := checked(t)
	var last time.Time
	var versions []string
	for i, step := range []time.Duration{0, time.Hour, -3 * time.Hour, time.Minute, -time.Second} {
		r.pass(step)
		v := "1.0." + string(rune('0'+i))
		versions = append([]string{v}, versions...)
		p := must(r.Publish(r.ctx, alice, version(hub(v), "")))
		if p.Chart.Created.Before(last) {
			t.Errorf("%s was created at %s, before %s", p.Chart.Chart, p.Chart.Created, last)
		}
		last = p.Chart.Created
	}
	var got []string
	for _, v := range must(r.Versions(r.ctx, "jupyterhub")) {
		got = append(got, v.Chart.Version())
	}
	if !slices.Equal(got, versions) {
		t.Errorf("the versions in order are %v, want %v", got, versions)
	}
}

func TestImportDates(t *testing.T) {
	day := func(n int) time.Time { return start.AddDate(0, 0, n-100) }
	r := checked(t)
	for _, c := range []struct {
		version string
		created time.Time
		undated bool
		unknown bool
	}{
		{"0.1.0", time.Time{}, false, true}, // undated
		{"1.0.0", day(10), false, false},
		{"1.1.0", day(10), false, false}, // the same moment is no step back
		{"0.9.0", day(9), false, true},   // behind
		{"1.2.0", day(11), false, false},
		{"1.3.0", day(12), true, true}, // the caller does not trust the date
		{"1.2.1", day(11).Add(1), false, false},
		{"1.4.0", day(200), false, true}, // still to come
		{"1.2.2", day(11).Add(2), false, false},
	} {
		nv := version(hub(c.version), "")
		nv.Import, nv.Created, nv.Undated = true, c.created, c.undated
		v := must(r.Publish(r.ctx, alice, nv)).Chart
		if v.OrderUnknown != c.unknown || !v.Imported {
			t.Errorf("%s: order unknown is %v, imported is %v", c.version, v.OrderUnknown, v.Imported)
		}
		want := c.created
		if want.IsZero() {
			want = start
		}
		if !v.Created.Equal(want) {
			t.Errorf("%s was created at %s, want %s", c.version, v.Created, want)
		}
	}
	far := version(hub("9.0.0"), "")
	far.Import, far.Created = true, time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))
	r.refused(lock.ErrInvalid, func() error { _, err := r.Publish(r.ctx, alice, far); return err }, "10000")
}

func TestProvenance(t *testing.T) {
	r := checked(t)
	must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
	signed := version(hub("1.0.0"), "")
	signed.Version.Provenance = digest("prov")
	if p := must(r.Publish(r.ctx, alice, signed)); p.Chart.Provenance != digest("prov") || !p.Existed {
		t.Errorf("the missing provenance file was not taken: %+v", p)
	}
	must(r.AddProvenance(r.ctx, alice, hub("1.0.0"), digest("prov"), 1))
	r.refused(lock.ErrExists, func() error {
		_, err := r.AddProvenance(r.ctx, alice, hub("1.0.0"), digest("another"), 1)
		return err
	}, digest("prov").String(), digest("another").String())
	signed.Version.Provenance, signed.Version.Package = digest("third"), digest("repacked")
	r.refused(lock.ErrRefused, func() error { _, err := r.Publish(r.ctx, alice, signed); return err }, digest("repacked").String())
}

func TestPublishWithRefusedBinding(t *testing.T) {
	r := checked(t)
	nv := version(hub("1.0.0"), "")
	nb := binding("1.0.0", candidate("1.0.0", image("quay.io/berkeley/hub", "alpine")))
	nv.Binding, nv.Insist = &nb, true
	r.refused(lock.ErrGate, func() error { _, err := r.Publish(r.ctx, alice, nv); return err }, "1.0.0")
	nv.Insist = false
	p := must(r.Publish(r.ctx, alice, nv))
	if p.Binding != nil || p.Chart.Unbound == "" || !p.Chart.Default.IsZero() {
		t.Errorf("a refused binding publishes %+v", p)
	}
	if n := len(r.lines()); n != 1 {
		t.Errorf("the journal has %d lines", n)
	}
}

func TestLookUps(t *testing.T) {
	r := checked(t)
	must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
	if v := must(r.ByFile(r.ctx, "jupyterhub-1.0.0.tgz")); v.Chart != hub("1.0.0") {
		t.Errorf("the file name leads to %s", v.Chart)
	}
	if v := must(r.FindVersion(r.ctx, "jupyterhub", "1.0.0")); v.Chart != hub("1.0.0") {
		t.Errorf("found %s", v.Chart)
	}
	for _, find := range []func() error{
		func() error { _, err := r.ByFile(r.ctx, "jupyterhub-1.0.tgz"); return err },
		func() error { _, err := r.FindVersion(r.ctx, "jupyterhub", "1.0"); return err },
		func() error { _, err := r.FindVersion(r.ctx, "jupyter/hub", "../1"); return err },
		func() error { _, err := r.Versions(r.ctx, "jupyter"); return err },
		func() error { _, err := r.Image(r.ctx, own("1.0.0").Image); return err },
	} {
		r.refused(lock.ErrNotFound, find)
	}
}
