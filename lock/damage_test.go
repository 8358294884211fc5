package lock_test

import (
	"strings"
	"testing"

	"chartd.dev/chartd/lock"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/lock/store"
)

// damaged is a lock file with something of everything in it.
func damaged(t *testing.T, do func(store.Txn) error) *rig {
	t.Helper()
	r := open(t, memstore.New())
	b := r.publish("1.0.0")
	gone := r.bind(binding("1.0.0", candidate("1.0.0", built("1.0.0", "x"))))
	must(r.Revoke(r.ctx, alice, gone.ID, "CVE"))
	r.publish("2.0.0")
	must(r.AddProvenance(r.ctx, alice, hub("2.0.0"), digest("prov"), 4))
	must(r.Yank(r.ctx, alice, hub("2.0.0"), "broken"))
	r.create("data8/staging")
	r.create("data8/prod")
	r.pin("data8/prod", 0, b)
	r.pin("data8/prod", 1, b)
	must(r.MakePinSet(r.ctx, alice, lock.NewPinSet{Pins: []lock.NewPin{
		{Env: env("data8/prod"), Base: 2, Binding: b.ID}, {Env: env("data8/staging"), Binding: b.ID},
	}}))
	r.report("data8/prod", 3, model.Started)
	r.report("data8/prod", 2, model.Started)
	if err := r.store.Update(r.ctx, do); err != nil {
		t.Fatal(err)
	}
	return r
}

// first is the first key of a bucket that contains the word, with its value.
func first(tx store.Tx, bucket, word string) (key, value string, err error) {
	err = tx.Scan(bucket, store.ScanOptions{}, func(k string, v []byte) error {
		if key == "" && strings.Contains(k, word) {
			key, value = k, string(v)
		}
		return nil
	})
	if err == nil && key == "" {
		err = store.NoKey(bucket, word)
	}
	return key, value, err
}

func drop(bucket, word string) func(store.Txn) error {
	return func(tx store.Txn) error {
		key, _, err := first(tx, bucket, word)
		if err != nil {
			return err
		}
		return tx.Delete(bucket, key)
	}
}

// edit replaces the first old in the value.
func edit(bucket, word, old, with string) func(store.Txn) error {
	return func(tx store.Txn) error {
		key, value, err := first(tx, bucket, word)
		if err != nil {
			return err
		}
		if !strings.Contains(value, old) {
			return store.NoKey(bucket, old)
		}
		return tx.Put(bucket, key, []byte(strings.Replace(value, old, with, 1)))
	}
}

func move(bucket, word, to string) func(store.Txn) error {
	return func(tx store.Txn) error {
		key, value, err := first(tx, bucket, word)
		if err != nil {
			return err
		}
		if err := tx.Delete(bucket, key); err != nil {
			return err
		}
		return tx.Put(bucket, to, []byte(value))
	}
}

func TestCheckFindsDamage(t *testing.T) {
	sound := damaged(t, func(store.Txn) error { return nil })
	if p := sound.problems(); len(p) > 0 {
		t.Fatalf("the lock file is sound and has problems: %q", p)
	}
	out := must(sound.Check(sound.ctx))
	if out.Charts != 2 || out.Bindings != 3 || out.Environments != 2 || out.Pins != 4 || out.Journal != len(sound.lines()) || len(out.Blobs) != 6 {
		t.Errorf("counted %+v", out)
	}
	const zero = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	hash := own("1.0.0").Image.Digest.String()
	owned := binding("1.0.0", candidate("1.0.0", own("1.0.0"))).ID()
	lost := binding("1.0.0", candidate("1.0.0", built("1.0.0", "x"))).ID()
	line := "\"result\":\"ok\""
	for name, c := range map[string]struct {
		do   func(store.Txn) error
		says string
	}{
		"a pin is gone":                 {drop("pins", "prod\x000000000000000002"), "data8/prod has revision 3 after 1"},
		"the last pin is gone":          {drop("pins", "staging"), "data8/staging"},
		"a pin names another binding":   {edit("pins", "staging", owned.String(), lost.String()), "pin data8/staging#1"},
		"a pin has another author":      {edit("pins", "staging", "alice", "mallory"), "pin data8/staging#1"},
		"wrong environment revision":    {edit("environments", "prod", `"revision":3`, `"revision":2`), "says revision 2"},
		"a policy was widened":          {edit("environments", "prod", `"base-layers"`, `"declared"`), "environment data8/prod"},
		"an environment is gone":        {drop("environments", "staging"), "data8/staging has 1 pins"},
		"a binding has another image":   {edit("bindings", "", "@sha256:", "x@sha256:"), "by its content"},
		"a binding has another digest":  {edit("bindings", "", hash, zero), ""},
		"a binding is gone":             {drop("bindings", ""), "binding"},
		"a binding was resurrected":     {edit("bindings", "", `"revoked"`, `"verified"`), "not as the journal says"},
		"an image is gone":              {drop("images", ownRepo), "never read"},
		"another package digest":        {edit("charts", "1.0.0", `"package":"sha256:`, `"package":"`), ""},
		"a yank was undone":             {edit("charts", "2.0.0", `"state":"yanked"`, `"state":""`), "jupyterhub@2.0.0"},
		"the provenance file was taken": {edit("charts", "2.0.0", `"provenance"`, `"forgotten"`), "jupyterhub@2.0.0"},
		"a chart version is gone":       {drop("charts", "1.0.0"), "jupyterhub@1.0.0"},
		"a chart under another key":     {move("charts", "1.0.0", "other\x001.0.0"), `stored under the key "other`},
		"the default is another":        {edit("charts", "1.0.0", `"default":"`, `"was":"`), "the default binding of jupyterhub@1.0.0"},
		"two of one sequence":           {edit("charts", "2.0.0", `"seq":3`, `"seq":1`), "sequence 1"},
		"the sequence went back":        {func(tx store.Txn) error { return tx.Put("meta", "sequence", []byte("1")) }, "the last one given is 1"},
		"a file name is gone":           {drop("files", "1.0.0"), "jupyterhub-1.0.0.tgz"},
		"a file name too many":          {func(tx store.Txn) error { return tx.Put("files", "x", []byte(`"a@1.0.0"`)) }, "3 file names"},
		"a blob is forgotten":           {drop("blobs", digest("package jupyterhub@1.0.0").Hex()), "not marked as used"},
		"a generation is gone":          {drop("generations", "0000000000000002"), "generation"},
		"a journal line is skipped":     {drop("journal", "0000000000000002"), "journal line 2"},
		"a report is gone":              {drop("reports", "0000000000000003"), "made the report data8/prod#3/1"},
		"a report says otherwise":       {edit("reports", "0000000000000003", "started", "passed"), "report data8/prod#3/1 is not as"},
		"a late report counts":          {edit("reports", "0000000000000002", `"superseded":true`, `"superseded":false`), "report data8/prod#2/1 is not as"},
		"a report of another binding":   {edit("reports", "0000000000000003", owned.String(), lost.String()), "was not pinned there"},
		"a report has another number":   {edit("reports", "0000000000000003", `"n":1`, `"n":2`), "report 2 of data8/prod#3 follows report 0"},
		"the last journal line is gone": {drop("journal", "000000000000000d"), "journal does not say so"},
		"a journal line was changed":    {edit("journal", "0000000000000001", line, `"result":"no"`), "journal does not say so"},
	} {
		t.Run(name, func(t *testing.T) {
			r := damaged(t, c.do)
			out, err := r.Check(r.ctx)
			found := strings.Join(out.Problems, "\n")
			if err != nil {
				found += err.Error()
			}
			if found == "" || !strings.Contains(found, c.says) {
				t.Errorf("found %q, want %q", found, c.says)
			}
		})
	}
}
