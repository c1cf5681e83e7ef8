package assignor

// Range cuts each topic into as many pieces as it has subscribers. The first members
// get the longer pieces. Members who come and go move the pieces of all who follow.
func Range(s *Spec) []Assignment {
	b := newBuilder(s)
	for t, members := range subscribers(s) {
		if len(members) == 0 {
			continue
		}
		partitions := int(s.Topics[t].Partitions)
		size, longer := partitions/len(members), partitions%len(members)
		p := 0
		for i, m := range members {
			end := p + size
			if i < longer {
				end++
			}
			for ; p < end; p++ {
				b.give(t, p, m)
			}
		}
	}
	return b.result()
}
