package lock

import (
	"fmt"
	"time"

	"chartd.dev/chartd/internal/model"
)

// freeze is the other half of rule 4: no freeze window is open.
func (q *question) freeze(r *RuleVerdict) error {
	for _, f := range q.e.Policy.Freeze {
		until, open, err := f.open(q.now)
		if err != nil {
			return err
		}
		if !open {
			continue
		}
		zone, err := time.LoadLocation(f.Zone)
		if err != nil {
			return fmt.Errorf("read the zone of a freeze window: %w", err)
		}
		end := until.In(zone).Format("2006-01-02 15:04 MST")
		r.fact("the freeze window %q (%s) is open until %s", f.Cron, f.Zone, end)
		if f.Reason != "" {
			r.fact("it is for: %s", f.Reason)
		}
		r.refuse(model.NeedEndOfFreeze, model.Facts{Time: end, Env: q.e.Env, Binding: q.b.ID})
	}
	if r.OK {
		r.fact("no freeze window is open")
	}
	return nil
}
