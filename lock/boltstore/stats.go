package boltstore

// Stats says how far bbolt is behind.
type Stats struct {
	LogBytes      int64  // of frames in the log that bbolt does not have yet
	Unflushed     uint64 // updates in them
	Flushes       uint64 // that came to an end
	FlushesFailed uint64 // that failed, and are tried again
}

// Stats returns what the store counts. It takes no lock and no transaction.
func (s *Store) Stats() Stats {
	st := s.state.Load()
	out := Stats{LogBytes: st.end - logPage, Unflushed: st.revision - st.active.since, Flushes: s.flushesDone.Load(), FlushesFailed: s.flushesFailed.Load()}
	if f := st.frozen; f != nil && !f.flushed() {
		out.LogBytes += f.logged
		out.Unflushed += f.revision - f.since
	}
	return out
}
