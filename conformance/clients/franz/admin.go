package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func (s suite) adminTopics(ctx context.Context) error {
	topic, err := s.newTopic(ctx, "admin", 2, nil)
	if err != nil {
		return err
	}
	adm := kadm.NewClient(s.client())
	defer adm.Close()
	if r, err := adm.UpdatePartitions(ctx, 5, topic); err != nil || r[topic].Err != nil {
		return fmt.Errorf("CreatePartitions: %w %w", err, r[topic].Err)
	}
	for { // the controller has answered; the broker may follow a moment later
		details, err := adm.ListTopics(ctx)
		if err != nil {
			return err
		}
		n := len(details[topic].Partitions)
		if n == 5 {
			break
		}
		if n != 2 || pause(ctx) != nil {
			return fmt.Errorf("%d partitions after CreatePartitions, want 5", n)
		}
	}
	config := func(name string) (string, error) {
		rs, err := adm.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return "", err
		}
		for _, c := range rs[0].Configs {
			if c.Key == name {
				return c.MaybeValue(), nil
			}
		}
		return "", fmt.Errorf("DescribeConfigs has no %s among %d", name, len(rs[0].Configs))
	}
	if v, err := config("retention.ms"); err != nil || v != "604800000" {
		return fmt.Errorf("default retention.ms %q: %w", v, err)
	}
	change := "1234567"
	altered, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &change}}, topic)
	if err != nil || altered[0].Err != nil {
		return fmt.Errorf("IncrementalAlterConfigs: %w %w", err, altered[0].Err)
	}
	if v, err := config("retention.ms"); err != nil || v != change {
		return fmt.Errorf("changed retention.ms %q: %w", v, err)
	}
	if err := s.produce(ctx, topic, 0, 100, 5); err != nil {
		return err
	}
	cut := kadm.Offsets{}
	cut.AddOffset(topic, 3, 7, -1)
	if r, err := adm.DeleteRecords(ctx, cut); err != nil || r.Error() != nil {
		return fmt.Errorf("DeleteRecords: %w %w", err, r.Error())
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	if o, _ := starts.Lookup(topic, 3); o.Offset != 7 {
		return fmt.Errorf("start offset after DeleteRecords %d, want 7", o.Offset)
	}
	if r, err := adm.DeleteTopics(ctx, topic); err != nil || r[topic].Err != nil {
		return fmt.Errorf("DeleteTopics: %w %w", err, r[topic].Err)
	}
	for {
		details, err := adm.ListTopics(ctx, topic)
		if err != nil {
			return err
		}
		e := details[topic].Err
		if errors.Is(e, kerr.UnknownTopicOrPartition) {
			return nil
		}
		if e != nil {
			return fmt.Errorf("the deleted topic answers: %w", e)
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("the deleted topic is still there: %w", err)
		}
	}
}

// pause lets a moment pass between two looks at the broker.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(30 * time.Millisecond):
		return nil
	}
}

func (s suite) adminGroups(ctx context.Context) error {
	topic, err := s.newTopic(ctx, "admin-groups", 1, nil)
	if err != nil {
		return err
	}
	if err := s.produce(ctx, topic, 0, 10, 1); err != nil {
		return err
	}
	cl := s.member(topic, topic)
	if _, err := poll(ctx, cl, 10); err != nil {
		cl.Close()
		return err
	}
	err = cl.CommitUncommittedOffsets(ctx)
	adm := kadm.NewClient(s.client())
	defer adm.Close()
	d, derr := adm.DescribeGroups(ctx, topic)
	cl.Close()
	if err := errors.Join(err, derr); err != nil {
		return err
	}
	if g := d[topic]; g.State != "Stable" || len(g.Members) != 1 || g.ProtocolType != "consumer" {
		return fmt.Errorf("while consuming: state %q, %d members, type %q", g.State, len(g.Members), g.ProtocolType)
	}
	for {
		d, err := adm.DescribeGroups(ctx, topic)
		if err != nil {
			return err
		}
		if d[topic].State == "Empty" {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after leaving: state %q", d[topic].State)
		case <-time.After(50 * time.Millisecond):
		}
	}
	listed, err := adm.ListGroups(ctx)
	if err != nil || listed[topic].State != "Empty" {
		return fmt.Errorf("ListGroups: %+v %w", listed[topic], err)
	}
	if r, err := adm.DeleteGroups(ctx, topic); err != nil || r[topic].Err != nil {
		return fmt.Errorf("DeleteGroups: %w %w", err, r[topic].Err)
	}
	listed, err = adm.ListGroups(ctx)
	if err != nil {
		return err
	}
	if _, still := listed[topic]; still {
		return errors.New("the deleted group is still listed")
	}
	return nil
}
