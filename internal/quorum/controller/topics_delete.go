package controller

import (
	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// deleteTopics deletes topics by name or by id.
func (c *Core) deleteTopics(e Event, r *protocol.DeleteTopicsRequest) *protocol.DeleteTopicsResponse {
	wanted := r.Topics
	for _, name := range r.TopicNames {
		wanted = append(wanted, protocol.DeleteTopicsRequestDeleteTopicState{Name: &name})
	}
	resp := &protocol.DeleteTopicsResponse{}
	enabled := c.cfg.Settings.Bool("delete.topic.enable")
	names, ids := map[string]int{}, map[wire.UUID]int{}
	for _, w := range wanted {
		if w.Name != nil {
			names[*w.Name]++
		} else {
			ids[w.TopicId]++
		}
	}
	var doomed []*metadata.Topic
	for _, w := range wanted {
		if w.Name != nil && names[*w.Name] < 0 || w.Name == nil && ids[w.TopicId] < 0 {
			continue // a repetition, answered already
		}
		if t := c.image().TopicByID(w.TopicId); w.Name == nil && t != nil && names[t.Name] != 0 {
			continue // asked for by name too, which is where both are refused
		}
		result := protocol.DeleteTopicsResponseDeletableTopicResult{Name: w.Name, TopicId: w.TopicId}
		var t *metadata.Topic
		var f *failure
		switch {
		case !enabled && e.Version < 3:
			f = invalid("Topic deletion is disabled.")
		case !enabled:
			f = fail(protocol.TopicDeletionDisabled, "Topic deletion is disabled.")
		default:
			t, f = c.topicToDelete(w, names, ids)
		}
		if t != nil && f == nil {
			doomed = append(doomed, t)
			result.Name, result.TopicId = &t.Name, t.ID
		}
		if w.Name != nil {
			if same := c.image().Topic(*w.Name); same != nil && ids[same.ID] != 0 {
				result.TopicId = same.ID
			}
			names[*w.Name] = -1
		} else {
			ids[w.TopicId] = -1
		}
		result.ErrorCode, result.ErrorMessage = f.codeOrNone(), f.text()
		resp.Responses = append(resp.Responses, result)
	}
	for _, t := range doomed {
		c.write(&metarecord.RemoveTopicRecord{TopicId: t.ID})
	}
	return resp
}

// topicToDelete finds the topic that is meant; names and ids count how often
// each was asked for.
func (c *Core) topicToDelete(
	w protocol.DeleteTopicsRequestDeleteTopicState, names map[string]int, ids map[wire.UUID]int,
) (*metadata.Topic, *failure) {
	if w.Name != nil {
		switch t := c.image().Topic(*w.Name); {
		case !w.TopicId.IsZero():
			return nil, invalid("You may not specify both topic name and topic id.")
		case names[*w.Name] > 1:
			return nil, invalid("Duplicate topic name.")
		case t == nil:
			return nil, unknownTopic()
		case ids[t.ID] != 0:
			return nil, invalid("The provided topic name maps to an ID that was already supplied.")
		default:
			return t, nil
		}
	}
	switch t := c.image().TopicByID(w.TopicId); {
	case w.TopicId.IsZero():
		return nil, invalid("Neither topic name nor id were specified.")
	case ids[w.TopicId] > 1:
		return nil, invalid("Duplicate topic id.")
	case t == nil:
		return nil, fail(protocol.UnknownTopicId, "This server does not host this topic ID.")
	default:
		return t, nil
	}
}
