package share

import (
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/assignor"
)

// Epochs that a member sends to say something else.
const (
	joinEpoch  = 0
	leaveEpoch = -1
)

// stable is the state in which every member of a share group is, in its record.
const stable int8 = 0

// member is one member. What a group holds of it is replaced, not changed.
type member struct {
	id         string
	rackID     *string
	clientID   string
	clientHost string
	topics     []string // in order, each once
	bytes      int      // what all of this takes in its record

	epoch         int32
	previousEpoch int32
	assigned      assignor.Assignment
}

// sameMetadata tells whether both have the same member record.
func (m *member) sameMetadata(b *member) bool {
	return slices.Equal(m.topics, b.topics) && m.clientID == b.clientID && m.clientHost == b.clientHost &&
		(m.rackID == b.rackID || m.rackID != nil && b.rackID != nil && *m.rackID == *b.rackID)
}

// sortedSet returns copies of the names in order, each once.
func sortedSet(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.Clone(name)
	}
	slices.Sort(out)
	return slices.Clip(slices.Compact(out))
}
