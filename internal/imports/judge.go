package imports

import (
	"context"
	"slices"
	"time"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
)

// judge finds out who a package is and of when: by the index, or else by its
// newest file. What the server will say of it anyway, only a dry run asks here.
func (s *scan) judge(it *item, data []byte) error {
	var created time.Time
	if it.entry != nil {
		created = it.entry.created()
	}
	g, err := s.glance(it, data, created.IsZero())
	if err == nil && !created.IsZero() && it.entry.String() != g.Chart.String() {
		created = time.Time{} // it is of another package
		g, err = s.glance(it, data, true)
	}
	if err != nil {
		return err
	}
	it.chart, it.date = g.Chart, created
	if created.IsZero() && dated(g.NewestFile) {
		it.date = g.NewestFile
	}
	s.compare(it)
	return nil
}

// glance reads as little of a package as will do.
func (s *scan) glance(it *item, data []byte, dated bool) (archive.Glance, error) {
	o := archive.Options{Limits: s.o.Limits, Lenient: true}
	if !s.o.DryRun {
		if g, err := archive.Peek(data, o, dated); err == nil {
			return g, nil
		}
	}
	p, err := archive.Read(data, o)
	if err != nil {
		return archive.Glance{}, err
	}
	it.judged = true
	return archive.Glance{Chart: p.Chart, NewestFile: p.NewestFile}, nil
}

// settle reads those packages in full of whose version there are others: who
// comes first depends on who can be imported at all.
func (s *scan) settle(ctx context.Context) error {
	byVersion := map[ref.ChartVersion][]*item{}
	for _, it := range s.items {
		byVersion[it.chart] = append(byVersion[it.chart], it)
	}
	unfit := map[*item]bool{}
	for _, list := range byVersion {
		if !slices.ContainsFunc(list, func(it *item) bool { return it.digest != list[0].digest }) {
			continue
		}
		for _, it := range list {
			if it.already || it.judged {
				continue
			}
			data, err := it.again(ctx)
			if err != nil {
				return err
			}
			if _, err := archive.Read(data, archive.Options{Limits: s.o.Limits, Lenient: true}); err != nil {
				unfit[it] = true
				s.find(Finding{Kind: Unreadable, Chart: it.chartName(), File: it.file, Message: err.Error(), Got: it.digest})
			}
		}
	}
	s.items = slices.DeleteFunc(s.items, func(it *item) bool { return unfit[it] })
	return nil
}
